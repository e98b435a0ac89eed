"""What the labels of a data set are, whichever library it is of and whatever it is wrapped in."""
from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import mmcv
import numpy as np
from mmengine import fileio

_CATEGORIES = re.compile(r'"categories"\s*:\s*(?=\[)')
_CORNERS = 3        # of a polygon, at least
_BACKGROUND = 'With reduce_zero_label=True, labels are the values of the file less one.'


@dataclass
class InstanceCount:
    """How many annotated objects there are.

    Attributes:
        usable: Those that a detector learns from.
        crowds: Those that are only left out of the scores (``iscrowd``).
        without_mask: Usable ones without an outline.
        too_few_points: Usable ones with polygons of fewer than three points, which mmdet leaves out
            where it reads outlines.
        by_label: The usable ones of each label.
    """

    usable: int = 0
    crowds: int = 0
    without_mask: int = 0
    too_few_points: int = 0
    by_label: Counter = field(default_factory=Counter)


def leaves(dataset: Any) -> Iterator[Any]:
    """The data sets inside of wrappers such as ``ConcatDataset`` or ``MultiImageMixDataset``."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from leaves(part)


def source_of(dataset: Any) -> str:
    """Where the labels of a data set come from."""
    prefix = getattr(dataset, 'data_prefix', None) or {}
    maps = prefix.get('seg_map_path') if isinstance(prefix, dict) else prefix
    return getattr(dataset, 'ann_file', None) or maps or f'The {type(dataset).__name__}'


def classes_of(dataset: Any) -> tuple[str, ...]:
    """What a data set (no wrapper) calls its classes; empty if it has none."""
    metainfo = getattr(dataset, 'metainfo', None)
    return tuple(map(str, metainfo.get('classes') or ())) if isinstance(metainfo, dict) else ()


def label_names(dataset: Any) -> tuple[str, ...]:
    """The class that each label of a data set (no wrapper) stands for; empty if it has none.

    For COCO's format it is not ``metainfo['classes']`` that says so, but the order of the
    categories in the annotation file.
    """
    classes = classes_of(dataset)
    ids = getattr(dataset, 'cat_ids', None)
    if ids is None or not str(getattr(dataset, 'ann_file', '')).endswith('.json'):
        return classes
    names = file_categories(dataset.ann_file, getattr(dataset, 'backend_args', None))
    found = tuple(names.get(number, '') for number in ids)
    return found if set(found) == set(classes) else classes


def file_categories(path: str, backend_args: dict | None = None) -> dict[int, str]:
    """Names of the categories in a file of COCO's format, by their ids, without parsing it all."""
    text = fileio.get_text(path, backend_args=backend_args)
    for match in _CATEGORIES.finditer(text):
        try:
            found, _ = json.JSONDecoder().raw_decode(text, match.end())
            return {category['id']: category['name'] for category in found}
        except (ValueError, TypeError, KeyError):       # another thing of that name
            continue
    return {}


def count_instances(dataset: Any) -> InstanceCount | None:
    """Count the objects of a data set (no wrapper); None if it is not one of detection."""
    if not len(dataset) or 'instances' not in info_of(dataset, 0):
        return None
    count = InstanceCount()
    for index in range(len(dataset)):
        for instance in info_of(dataset, index)['instances']:
            left, top, right, bottom = instance.get('bbox', (0, 0, 1, 1))
            if instance.get('ignore_flag'):
                count.crowds += 1
            elif right > left and bottom > top:
                count.usable += 1
                outline = instance.get('mask')
                count.without_mask += not outline
                count.too_few_points += bool(outline) and isinstance(outline, list) and not any(
                    map(is_polygon, outline))
                count.by_label[instance.get('bbox_label')] += 1
    return count


def is_polygon(coordinates: Sequence[float]) -> bool:
    """Whether mmdet takes a list of coordinates x, y, x, y, ... for a polygon."""
    return len(coordinates) % 2 == 0 and len(coordinates) >= 2 * _CORNERS


def loads_masks(dataset: Any) -> bool:
    """Whether the pipeline of a data set (no wrapper) reads the outlines of instances."""
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    return any(getattr(transform, 'with_mask', False) for transform in transforms)


def read_maps(dataset: Any, at_most: int) -> Iterator[tuple[str, np.ndarray]]:
    """Read annotated pixels as the data set's pipeline does.

    Args:
        dataset: One of segmentation (no wrapper); of others nothing is read.
        at_most: So many maps, evenly spread.

    Yields:
        The path of a map, and its labels (H, W).

    Raises:
        ValueError: If a map has colours in place of labels, or labels above 255.
    """
    transforms = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    loader = next((t for t in transforms if type(t).__name__ == 'LoadAnnotations'), None)
    if loader is None or not len(dataset) or 'seg_map_path' not in info_of(dataset, 0) \
            or 'instances' in info_of(dataset, 0):
        return
    for index in np.unique(np.linspace(0, len(dataset) - 1, at_most).round().astype(int)):
        info = dict(info_of(dataset, int(index)))
        _check_file(info['seg_map_path'], loader)
        yield info['seg_map_path'], loader({**info, 'seg_fields': []})['gt_seg_map']


def check_pixels(labels: Any, path: str | None, classes: Sequence[str],
                 ignored: Collection[int]) -> None:
    """See that annotated pixels have labels of the classes.

    Args:
        labels: (H, W) or (1, H, W), a tensor or an array.
        path: The file that they are from.
        classes: Names of the classes.
        ignored: Labels that are neither learned nor scored.

    Raises:
        ValueError: If they have others.
    """
    present = np.unique(np.asarray(labels))
    wrong = [int(x) for x in present if not 0 <= x < len(classes) and x not in ignored]
    if wrong:
        for_ignored = ' or '.join(map(str, sorted(ignored))) or 'no label'
        raise ValueError(
            f'The annotation {path} has label {wrong[-1]}, expected 0 to {len(classes) - 1} for '
            f'{len(classes)} classes, or {for_ignored} for ignored. ({_BACKGROUND})')


def info_of(dataset: Any, index: int) -> dict:
    """What a data set (no wrapper) knows of a picture before it loads it."""
    return dataset.get_data_info(index) if hasattr(dataset, 'get_data_info') else {}


def _check_file(path: str, loader: Any) -> None:
    values = mmcv.imfrombytes(fileio.get(path, backend_args=loader.backend_args),
                              flag='unchanged', backend=loader.imdecode_backend)
    if values is not None and values.ndim == 2 and 1 in values.shape:
        raise ValueError(f'The annotation {path} has one row or column of pixels, which mmseg '
                         'cannot read: leave out its picture.')
    if values is None or values.squeeze().ndim != 2:
        shape = 'nothing readable' if values is None else f'pixels {values.shape}'
        raise ValueError(f'The annotation {path} holds {shape}, expected one label for each pixel, '
                         '(H, W): convert its colours to the numbers of the classes.')
    if values.max() > 255:
        raise ValueError(f'The annotation {path} has label {values.max()}: labels above 255 cannot '
                         'be read, mmseg keeps 8 bits.')
