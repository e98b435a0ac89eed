"""The first fault of a file in COCO's format is named."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from addp_mm.datasets.coco_file import read_coco


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
    ('images', 'id', [1], r'has \[1\] as id in images\[1\], expected a number or a text'),
    ('annotations', 'image_id', {}, r'has {} as image_id in annotations\[1\]'),
    ('annotations', 'category_id', float('nan'), 'has nan as category_id'),
    ('categories', 'id', [], r'has \[\] as id in categories\[0\]'),
    ('images', 'id', 1, 'the id 1 more than once in images'),
    ('annotations', 'id', 1, 'the id 1 more than once in annotations')])
def test_faults_of_entries(part: str, key: str, value: object, fault: str, tmp_path: Path):
    changed = content()
    changed[part][-1].update({key: value})
    if value is None:
        del changed[part][-1][key]
    (tmp_path / 'a.json').write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=f'a.json is not in COCO.s format: it .*{fault}'):
        read_coco(tmp_path / 'a.json')
    if key == 'area' and value is None:
        assert read_coco(tmp_path / 'a.json', needs_area=False) == changed


@pytest.mark.parametrize('text, fault', [
    ('', 'is no JSON file'), ('[1]', 'holds a list'), ('{"images": []}', 'no list of annotations')])
def test_faults_of_the_file(text: str, fault: str, tmp_path: Path):
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(ValueError, match=fault):
        read_coco(tmp_path / 'a.json')


def test_what_has_no_fault_is_given(tmp_path: Path):
    texts = content()
    for number, image in enumerate(texts['images']):
        image['id'] = texts['annotations'][number]['image_id'] = f'a{number}'
    for right in (content(), texts):
        (tmp_path / 'a.json').write_text(json.dumps(right))
        assert read_coco(tmp_path / 'a.json') == right
