"""What makes a file in COCO's format unusable, in words."""
from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_PARTS = ('images', 'annotations', 'categories')
_NEEDED = dict(images=('id', 'file_name', 'width', 'height'), categories=('id', 'name'),
               annotations=('id', 'image_id', 'category_id', 'bbox', 'area'))


def coco_fault(path: str | Path) -> str:
    """Look for the first fault of a file.

    Args:
        path: The file.

    Returns:
        A sentence on it, without its name; empty if there is none.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        return f'is no JSON file: {error}.'
    if not isinstance(content, dict):
        return f'holds a {type(content).__name__}, expected images, annotations and categories.'
    for part in _PARTS:
        entries = content.get(part)
        if not isinstance(entries, list):
            return f'has no list of {part}.'
        if fault := _lacking(part, entries) or _twice(part, entries):
            return fault
    return next((fault for x in content['annotations'] if (fault := _of_annotation(x))), '')


def _lacking(part: str, entries: Iterable[Any]) -> str:
    for number, entry in enumerate(entries):
        missing = [name for name in _NEEDED[part] if not isinstance(entry, dict)
                   or name not in entry]
        if missing:
            return f'has no {missing[0]} in {part}[{number}].'
    return ''


def _twice(part: str, entries: Iterable[Mapping[str, Any]]) -> str:
    seen: set[Any] = set()
    for entry in entries:
        if entry['id'] in seen:
            return f'has the id {entry["id"]} more than once in {part}.'
        seen.add(entry['id'])
    return ''


def _of_annotation(annotation: Mapping[str, Any]) -> str:
    box, name = annotation['bbox'], f'the annotation with the id {annotation["id"]}'
    if not (isinstance(box, list) and len(box) == 4 and all(map(_is_finite, box))):
        return f'has a box that is no four numbers (x, y, width, height) in {name}: {box}.'
    if not _is_finite(annotation['area']):
        return f'has an area that is no number in {name}: {annotation["area"]}.'
    return ''


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
