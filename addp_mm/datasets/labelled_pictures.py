"""Whether the labels of a data set of detection or segmentation are those of its pictures."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.logging import MMLogger

from .coco_boxes import Box, belongs, leads_out
from .image_reader import shown_size
from .labels import info_of, is_polygon, source_of

_AS_SHOWN = 'upright, as training reads it'


def check_pictures(dataset: Any, at_most: int) -> None:
    """See that pictures are there, and have the size of their labels.

    Args:
        dataset: One of mmdet or mmseg (no wrapper); files of remote storages are not looked at.
        at_most: So many pictures, evenly spread.

    Raises:
        ValueError: If a file is missing or is no picture, if sizes differ, if an outline does not
            lie in its box, or if most boxes fit no outline.
    """
    if getattr(dataset, 'backend_args', None):
        return
    boxes: list[tuple[str, Box, Box | None, tuple[int, int]]] = []
    for info in _some(dataset, at_most):
        path = info.get('img_path')
        if not isinstance(path, str) or '://' in path:
            return
        size = _size(path, dataset)
        if 'instances' in info:
            _check_instances(info, size, source_of(dataset))
            boxes += [(path, _box_of(x), _box_around(x.get('mask'), size), size)
                      for x in info['instances']]
        elif info.get('seg_map_path'):
            _compare(f'The annotation {info["seg_map_path"]}', _size(info['seg_map_path'], dataset),
                     path, size)
    _check_boxes(boxes, source_of(dataset))


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
        coco = dict(segmentation=mask, bbox=_box_of(instance))
        if isinstance(mask, dict) and not lies_in_box(coco, size):
            raise ValueError(f'{source} has an outline (segmentation) that does not lie in its box '
                             f'on {info["img_path"]}: its run lengths are not of this instance.')


def _check_boxes(boxes: Sequence[tuple[str, Box, Box | None, tuple[int, int]]],
                 source: str) -> None:
    """See that boxes are (x, y, width, height) in pixels, as the most of them show.

    Args:
        boxes: Of each instance the picture, the box, the one around its outline if it has one, and
            the size of the picture.
        source: Where they are from.

    Raises:
        ValueError: If more than half of the boxes with an outline are not those of the outlines.
    """
    pairs = [(path, box, own, size) for path, box, own, size in boxes if own is not None]
    apart = [(path, box, own) for path, box, own, size in pairs if not belongs(box, own, size)]
    if len(apart) > len(pairs) / 2:
        path, box, own = apart[0]
        raise ValueError(
            f'{source} has boxes (bbox) that do not fit the outlines (segmentation) of their '
            f'objects, {len(apart)} of {len(pairs)}. The first is on {path}: {_rounded(box)}, its '
            f'outline {_rounded(own)}. Write both in pixels, boxes as (x, y, width, height).')
    out = sum(leads_out(box, size) for _, box, _, size in boxes)
    if out > len(boxes) / 2:
        MMLogger.get_current_instance().warning(
            f'{source} has boxes (bbox) that lead out of their pictures, {out} of {len(boxes)}: '
            'they must be (x, y, width, height) in pixels, not two corners.')


def _box_of(instance: Mapping[str, Any]) -> Box:
    """The box of an instance of mmdet, which keeps two corners, in COCO's form."""
    left, top, right, bottom = instance['bbox']
    return left, top, right - left, bottom - top


def _box_around(outline: Any, size: tuple[int, int]) -> Box | None:
    """The smallest box around an outline in COCO's format; None if mmdet reads none."""
    if isinstance(outline, dict):
        from pycocotools import mask as coder
        box: Box = coder.toBbox(run_lengths(outline, size)).tolist()
        return box
    polygons = list(filter(is_polygon, outline or ()))
    if not polygons:
        return None
    points = np.concatenate(polygons).reshape(-1, 2)
    left, top = points.min(axis=0)
    right, bottom = points.max(axis=0)
    return left, top, right - left, bottom - top


def _rounded(box: Box) -> list[float]:
    return [round(float(x), 1) for x in box]


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
