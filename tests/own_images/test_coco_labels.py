"""What a file in COCO's format must hold for detectors and their metrics."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from addp_mm.own_images.coco_labels import complete_objects, read_coco_file

pytest.importorskip('pycocotools')
SIZES = {1: (80, 60)}
PATH = Path('a.json')


def square(number: int, **changes: Any) -> dict[str, Any]:
    """An object of 10 x 10 pixels."""
    left, top = 10 + 20 * number, 30
    outline = [[left, top, left + 10, top, left + 10, top + 10, left, top + 10]]
    return dict(id=number, image_id=1, category_id=1, bbox=[left, top, 10, 10], area=100, iscrowd=0,
                segmentation=outline) | changes


def complete(*annotations: dict[str, Any]) -> list[dict[str, Any]]:
    return complete_objects(annotations, SIZES, [1], PATH)


def test_area_and_iscrowd_are_filled_in():
    lacking = {key: x for key, x in square(0, area=0).items() if key != 'iscrowd'}
    assert complete(lacking, square(1, area=7)) == [square(0), square(1, area=7)]


def test_boxes_of_two_corners_are_refused():
    corners = [square(i, bbox=[10 + 20 * i, 30, 20 + 20 * i, 40]) for i in range(3)]
    with pytest.raises(ValueError, match='two corners .x1, y1, x2, y2.'):
        complete(*corners)
    with pytest.raises(ValueError, match=r'annotation 2 of a.json has the box \[50, 30, 60, 40\]'):
        complete(square(0), square(1), corners[2])


@pytest.mark.parametrize('box', [[10, 30, 10, 10], [9, 28.5, 12, 12], [8, 28, 14, 14],
                                 [9.5, 30.2, 9, 9.7]])
def test_boxes_may_be_drawn_loosely(box: list[float]):
    assert complete(square(0, bbox=box)) == [square(0, bbox=box)]


def test_boxes_that_lead_out_of_the_picture_are_cut():
    outline = [[70, 50, 80, 50, 80, 60, 70, 60]]
    assert complete(square(0, bbox=[70, 50, 30, 30], segmentation=outline))
    tiny = square(0, bbox=[10, 30, 4, 4], segmentation=[[10, 30, 12, 30, 12, 32, 10, 32]])
    assert complete(tiny) == [tiny]


@pytest.mark.parametrize('outline, message', [
    (dict(size=[60, 80], counts=[630, 300, 3000]), 'add up to 3930 pixels, expected the 80 x 60'),
    (dict(size=[80, 60], counts=[630, 300, 3870]), r'of height and width \[80, 60\], its image'),
    (dict(size=[60, 80], counts='no code'), 'cannot be read, or does not lie in its box'),
    ([[1, 2, 3]], 'cannot be read, or does not lie in its box')])
def test_masks_that_are_none(outline: object, message: str):
    with pytest.raises(ValueError, match=message):
        complete(square(0, segmentation=outline))


def test_other_values_of_iscrowd_are_refused():
    with pytest.raises(ValueError, match="iscrowd 'no', expected 0 or 1"):
        complete(square(0, iscrowd='no'))


@pytest.mark.parametrize('part, changes, message', [
    ('images', dict(width=None), 'Expected whole pixels as width of a.png in .*, got None'),
    ('images', dict(width=60.5), 'whole pixels as width'),
    ('images', dict(file_name=None), r'None as file_name in images\[0\]'),
    ('categories', dict(name=None), r'None as name in categories\[0\]'),
    ('images', None, 'has no id in images'), ('images', [], 'has no list of images')])
def test_types_of_entries(part: str, changes: Any, message: str, tmp_path: Path):
    content: dict[str, Any] = dict(
        images=[dict(id=1, file_name='a.png', width=80.0, height=60)], annotations=[square(0)],
        categories=[dict(id=1, name='cell')])
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    width = read_coco_file(path, tmp_path)[0][0]['width']
    assert width == 80 and isinstance(width, int)
    if isinstance(changes, dict):
        content[part][0] |= changes
    else:
        content[part] = ['a.png'] if changes is None else None
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_coco_file(path, tmp_path)


def test_an_image_is_listed_once(tmp_path: Path):
    images = [dict(id=i, file_name='a.png', width=80, height=60) for i in range(2)]
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(dict(images=images, annotations=[], categories=[])))
    with pytest.raises(ValueError, match='lists a.png more than once'):
        read_coco_file(path, tmp_path)


def test_names_are_relative_to_the_folder_of_images(tmp_path: Path):
    (tmp_path / 'images/x').mkdir(parents=True)
    (tmp_path / 'link').symlink_to(tmp_path / 'images')
    names = ['a.png', './b.png', 'x/../c.png', f'{tmp_path}/images/x/d.png',
             f'{tmp_path}/link/e.png']
    path = tmp_path / 'a.json'

    def write(names: list[str]) -> None:
        images = [dict(id=i, file_name=name, width=8, height=6) for i, name in enumerate(names)]
        path.write_text(json.dumps(dict(images=images, annotations=[], categories=[])))

    write(names)
    for root in ('images', 'link'):
        found = [image['file_name'] for image in read_coco_file(path, tmp_path / root)[0]]
        assert found == ['a.png', 'b.png', 'c.png', 'x/d.png', 'e.png']
    for name in ('../a.png', f'{tmp_path}/images2/a.png'):
        write([name])
        with pytest.raises(ValueError, match='names .*a.png, which does not lie below .*/images:'):
            read_coco_file(path, tmp_path / 'images')
    write(['a.png', f'{tmp_path}/images/a.png'])
    with pytest.raises(ValueError, match='lists a.png more than once'):
        read_coco_file(path, tmp_path / 'images')
