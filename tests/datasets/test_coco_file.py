"""The first fault of a file in COCO's format is named."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from addp_mm.datasets.coco_file import coco_fault


def content() -> dict[str, Any]:
    return dict(
        images=[dict(id=i, file_name=f'{i}.png', width=8, height=6) for i in (1, 2)],
        categories=[dict(id=5, name='cell')],
        annotations=[dict(id=i, image_id=i, category_id=5, bbox=[0, 0, 2, 2.5], area=4)
                     for i in (1, 2)])


@pytest.mark.parametrize('part, key, value, fault', [
    ('annotations', 'area', None, r'has no area in annotations\[1\]'),
    ('annotations', 'bbox', None, 'has no bbox'), ('images', 'width', None, 'has no width'),
    ('annotations', 'bbox', [1, 2], 'no four numbers'),
    ('annotations', 'bbox', ['1', 1, 1, 1], 'no four numbers'),
    ('annotations', 'bbox', [float('nan')] * 4, 'no four numbers'),
    ('annotations', 'area', 'big', 'an area that is no number'),
    ('images', 'id', 1, 'the id 1 more than once in images'),
    ('annotations', 'id', 1, 'the id 1 more than once in annotations')])
def test_faults_of_entries(part: str, key: str, value: object, fault: str, tmp_path: Path):
    changed = content()
    changed[part][1].update({key: value})
    if value is None:
        del changed[part][1][key]
    (tmp_path / 'a.json').write_text(json.dumps(changed))
    assert re.search(fault, coco_fault(tmp_path / 'a.json'))


@pytest.mark.parametrize('text, fault', [
    ('', 'is no JSON file'), ('[1]', 'holds a list'), ('{"images": []}', 'no list of annotations'),
    (json.dumps(content()), '')])
def test_faults_of_the_file(text: str, fault: str, tmp_path: Path):
    (tmp_path / 'a.json').write_text(text)
    found = coco_fault(tmp_path / 'a.json')
    assert fault in found and bool(found) == bool(fault)
