"""Reads a file in COCO's format, and sees that what other tools take from it is right.

Boxes are (x, y, width, height) in pixels; sizes are (width, height).
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..datasets.coco_boxes import Box, belongs, overlap
from ..datasets.coco_file import read_coco
from ..datasets.labelled_pictures import lies_in_box, run_lengths

_Entry = dict[str, Any]
# Boxes of two corners fit so well when read as such, and worse when read as (x, y, width, height).
_GOOD, _WORSE = 0.9, 0.75


def read_coco_file(path: Path, root: Path) -> tuple[list[_Entry], list[_Entry], list[_Entry]]:
    """Read the images, annotations and categories.

    Widths and heights become integers, and each ``file_name`` relative to ``root``.

    Raises:
        ValueError: If something is missing or of another type, or an image is listed twice or not
            below ``root``.
    """
    content = read_coco(path, needs_area=False)
    for part, name in (('images', 'file_name'), ('categories', 'name')):
        for number, entry in enumerate(content[part]):
            if not (isinstance(entry[name], str) and entry[name].strip()):
                raise ValueError(f'{path} has {entry[name]!r} as {name} in {part}[{number}], '
                                 'expected a text.')
    images = [image | dict(
        file_name=_name_below(root, image['file_name'], path),
        **{side: _whole(image[side], f'{side} of {image["file_name"]} in {path}')
           for side in ('width', 'height')}) for image in content['images']]
    _check_unique_names(images, path)
    return images, content['annotations'], content['categories']


def complete_objects(annotations: Sequence[_Entry], sizes: Mapping[Any, tuple[int, int]],
                     categories: Iterable[Any], path: Path) -> list[_Entry]:
    """Check each object, and fill in what detectors and their metrics need.

    Args:
        annotations: Of the file.
        sizes: Of the images, by id.
        categories: The ids.
        path: The file, for messages.

    Returns:
        The annotations with ``iscrowd``, and with the area of the mask where it was missing or 0.

    Raises:
        ValueError: If one has no mask, an unknown image or category, or a mask or a box that
            cannot be its own.
    """
    known, completed, boxes = set(categories), [], []
    for annotation in annotations:
        where = f'The annotation {annotation["id"]} of {path}'
        _check_entries(annotation, sizes, known, where)
        box, area = _measure(annotation, sizes[annotation['image_id']], where)
        boxes.append(box)
        completed.append(annotation | dict(
            iscrowd=annotation.get('iscrowd') or 0,
            area=given if (given := annotation.get('area') or 0) > 0 else area))
    pairs = list(zip(annotations, boxes, strict=True))
    if sum(_is_of_corners(x['bbox'], own) for x, own in pairs) > len(pairs) / 2:
        raise ValueError(f'{path} has boxes that fit their masks as two corners (x1, y1, x2, y2), '
                         'expected (x, y, width, height).')
    for annotation, own in pairs:
        if not belongs(annotation['bbox'], own, sizes[annotation['image_id']]):
            raise ValueError(f'The annotation {annotation["id"]} of {path} has the box '
                             f'{annotation["bbox"]}, its mask {own}: expected one box (x, y, '
                             'width, height) for both.')
    return completed


def _check_unique_names(images: Iterable[_Entry], path: Path) -> None:
    """Raise ValueError if two images have one ``file_name``."""
    seen: set[str] = set()
    for image in images:
        if image['file_name'] in seen:
            raise ValueError(f'{path} lists {image["file_name"]} more than once in images: give '
                             'all its objects to one entry.')
        seen.add(image['file_name'])


def _name_below(root: Path, name: str, path: Path) -> str:
    """The name of an image relative to a folder, by the path as it is written or by links."""
    written = root.absolute() / name
    by_links = Path(os.path.realpath(written.parent), written.name)
    for file, folder in ((written, root.absolute()), (by_links, Path(os.path.realpath(root)))):
        file = Path(os.path.normpath(file))
        if file.is_relative_to(folder := Path(os.path.normpath(folder))):
            return file.relative_to(folder).as_posix()
    raise ValueError(f'{path} names {name}, which does not lie below {root}: name the folder that '
                     'all its pictures lie in.')


def _whole(value: Any, name: str) -> int:
    if isinstance(value, (int, float)) and value > 0 and value == round(value):
        return int(value)
    raise ValueError(f'Expected whole pixels as {name}, got {value!r}.')


def _check_entries(annotation: _Entry, images: Mapping[Any, Any], categories: set[Any],
                   where: str) -> None:
    if not annotation.get('segmentation'):
        raise ValueError(f'{where} has no mask (segmentation), only a box: expected a mask of '
                         'each object.')
    if annotation['image_id'] not in images:
        raise ValueError(f'{where} belongs to image {annotation["image_id"]}, which the file '
                         'does not list.')
    if annotation['category_id'] not in categories:
        raise ValueError(f'{where} has category {annotation["category_id"]}, which the file '
                         'does not list.')
    if annotation.get('iscrowd') not in (None, 0, 1):
        raise ValueError(f'{where} has iscrowd {annotation["iscrowd"]!r}, expected 0 or 1.')


def _measure(annotation: _Entry, size: tuple[int, int], where: str) -> tuple[Box, float]:
    """Box and area of the mask of an annotation, which must be one of a picture of that size."""
    outline = annotation['segmentation']
    if not lies_in_box(annotation, size):
        raise ValueError(f'{where} has a mask (segmentation) that cannot be read, or does not '
                         'lie in its box: expected run lengths, or polygons of three points '
                         'and more.')
    if isinstance(outline, dict):
        _check_run_lengths(outline, size, where)
    from pycocotools import mask as coder
    lengths = run_lengths(outline, size)
    return coder.toBbox(lengths).tolist(), float(coder.area(lengths))


def _check_run_lengths(outline: _Entry, size: tuple[int, int], where: str) -> None:
    width, height = size
    if list(outline['size']) != [height, width]:
        raise ValueError(f'{where} has a mask of height and width {outline["size"]}, its image '
                         f'{[height, width]}: labels and pictures must have one size.')
    counts = outline['counts']
    if isinstance(counts, list) and (min(counts) < 0 or sum(counts) != width * height):
        raise ValueError(f'{where} has run lengths that add up to {sum(counts)} pixels, expected '
                         f'the {width} x {height} of its image.')


def _is_of_corners(box: Box, own: Box) -> bool:
    """Whether a box fits the mask's own only when it is read as (x1, y1, x2, y2)."""
    left, top, right, bottom = box
    as_corners = left, top, max(0, right - left), max(0, bottom - top)
    return overlap(as_corners, own) > _GOOD and overlap(box, own) < _WORSE
