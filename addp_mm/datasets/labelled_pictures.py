"""Whether the labels of a data set of detection or segmentation are those of its pictures."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .image_reader import shown_size
from .labels import info_of, source_of

_AS_SHOWN = 'upright, as training reads it'


def check_pictures(dataset: Any, at_most: int) -> None:
    """See that pictures are there, and have the size of their labels.

    Args:
        dataset: One of mmdet or mmseg (no wrapper); files of remote storages are not looked at.
        at_most: So many pictures, evenly spread.

    Raises:
        ValueError: If a file is missing or is no picture, if sizes differ, or if an outline does
            not lie in its box.
    """
    if getattr(dataset, 'backend_args', None):
        return
    for info in _some(dataset, at_most):
        path = info.get('img_path')
        if not isinstance(path, str) or '://' in path:
            return
        size = _size(path, dataset)
        if 'instances' in info:
            _check_instances(info, size, source_of(dataset))
        elif info.get('seg_map_path'):
            _compare(f'The annotation {info["seg_map_path"]}', _size(info['seg_map_path'], dataset),
                     path, size)


def _some(dataset: Any, at_most: int) -> Iterator[Mapping[str, Any]]:
    for index in np.unique(np.linspace(0, len(dataset) - 1, at_most).round().astype(int)):
        if index >= 0:
            yield info_of(dataset, int(index))


def _size(path: str, dataset: Any) -> tuple[int, int]:
    if not Path(path).is_file():
        raise ValueError(f'Expected a file at {path} for {source_of(dataset)}, there is none: '
                         'look at data_root, data_prefix and the suffixes of its data set.')
    try:
        return shown_size(path)
    except ValueError as error:
        raise ValueError(f'{path} is no picture that can be read ({error}).') from error


def _check_instances(info: Mapping[str, Any], size: tuple[int, int], source: str) -> None:
    width, height = info.get('width'), info.get('height')
    if width is not None and height is not None:
        _compare(f'{source}, by which it', (int(width), int(height)), info['img_path'], size)
    for instance in info['instances']:
        mask = instance.get('mask')
        left, top, right, bottom = instance['bbox']
        coco = dict(segmentation=mask, bbox=(left, top, right - left, bottom - top))
        if isinstance(mask, dict) and not lies_in_box(coco, size):
            raise ValueError(f'{source} has an outline (segmentation) that does not lie in its box '
                             f'on {info["img_path"]}: its run lengths are not of this instance.')


def _compare(what: str, found: tuple[int, int], path: str, size: tuple[int, int]) -> None:
    if found != size:
        raise ValueError(f'{what} has {found[0]} x {found[1]} pixels, does not fit {path}, which '
                         f'has {size[0]} x {size[1]} ({_AS_SHOWN}).')


def run_lengths(outline: Mapping[str, Any] | list, size: tuple[int, int]) -> dict[str, Any]:
    """The compressed run-length code of an outline in COCO's format.

    Args:
        outline: Run lengths, compressed or plain, or polygons.
        size: Width and height of the picture.

    Raises:
        ModuleNotFoundError: If pycocotools is missing, which comes with mmdet.
    """
    from pycocotools import mask as coder
    if isinstance(outline, list):
        return coder.merge(coder.frPyObjects(outline, *size[::-1]))
    if isinstance(outline['counts'], list):
        return coder.frPyObjects(dict(outline), *size[::-1])
    return dict(outline)


def lies_in_box(annotation: Mapping[str, Any], size: tuple[int, int]) -> bool:
    """Whether the outline of an annotation in COCO's format covers something of its box.

    Args:
        annotation: ``segmentation``, run lengths or polygons, and ``bbox`` (x, y, width, height).
        size: Width and height of the picture.
    """
    from pycocotools import mask as coder
    box = annotation['bbox']
    try:
        left, top, width, height = coder.toBbox(run_lengths(annotation['segmentation'], size))
    except Exception:       # of damaged outlines
        return False
    return bool(width * height > 0 and left < box[0] + box[2] and top < box[1] + box[3]
                and left + width > box[0] and top + height > box[1])
