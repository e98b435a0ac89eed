"""What makes a file in COCO's format unusable, in words."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_IDS = {'id', 'image_id', 'category_id'}
_PARTS = ('images', 'annotations', 'categories')
_NEEDED = dict(images=('id', 'file_name', 'width', 'height'), categories=('id', 'name'),
               annotations=('id', 'image_id', 'category_id', 'bbox', 'area'))


def read_coco(path: str | Path, needs_area: bool = True) -> dict[str, Any]:
    """Read a file, and look for its first fault.

    Args:
        path: The file.
        needs_area: Each annotation must have its area, as mmdet reads it.

    Raises:
        ValueError: If there is a fault.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'{path} is not in COCO\'s format: it is no JSON file ({error}).'
                         ) from error
    if fault := _fault(content, needs_area):
        raise ValueError(f'{path} is not in COCO\'s format: it {fault}')
    return content


def _fault(content: Any, needs_area: bool) -> str:
    if not isinstance(content, dict):
        return f'holds a {type(content).__name__}, expected images, annotations and categories.'
    for part in _PARTS:
        entries = content.get(part)
        if not isinstance(entries, list):
            return f'has no list of {part}.'
        needed = [name for name in _NEEDED[part] if needs_area or name != 'area']
        if fault := _lacking(part, entries, needed) or _unusable_id(part, entries) \
                or _twice(part, entries):
            return fault
    return next((fault for x in content['annotations']
                 if (fault := _of_annotation(x, needs_area))), '')


def _lacking(part: str, entries: Iterable[Any], needed: Iterable[str]) -> str:
    for number, entry in enumerate(entries):
        missing = [name for name in needed if not isinstance(entry, dict) or name not in entry]
        if missing:
            return f'has no {missing[0]} in {part}[{number}].'
    return ''


def _unusable_id(part: str, entries: Iterable[Mapping[str, Any]]) -> str:
    for number, entry in enumerate(entries):
        for name in _IDS & set(_NEEDED[part]):
            if not (isinstance(entry[name], str) or _is_finite(entry[name])):
                return (f'has {entry[name]!r} as {name} in {part}[{number}], expected a number or '
                        'a text.')
    return ''


def _twice(part: str, entries: Iterable[Mapping[str, Any]]) -> str:
    seen: set[Any] = set()
    for entry in entries:
        if entry['id'] in seen:
            return f'has the id {entry["id"]} more than once in {part}.'
        seen.add(entry['id'])
    return ''


def _of_annotation(annotation: Mapping[str, Any], needs_area: bool) -> str:
    box, name = annotation['bbox'], f'the annotation with the id {annotation["id"]}'
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))):
        return f'has a box that is no four numbers (x, y, width, height) in {name}: {box}.'
    area = annotation.get('area')
    if not _is_finite(area) and (needs_area or area is not None):
        return f'has an area that is no number in {name}: {area}.'
    return ''


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
