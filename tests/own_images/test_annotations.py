from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.own_images.annotations import (
    choose_held_out,
    decode_mask,
    draw_map,
    write_annotations,
)
from addp_mm.own_images.labels import LabelledImages, describe_mask

SETTINGS = dict(category='cell')


@pytest.fixture
def found(tmp_path: Path) -> LabelledImages:
    """Four images of 8 x 6 pixels with a large object and a small one on it, of two categories."""
    images, annotations = [], []
    for i in range(4):
        images.append(dict(id=i + 10, file_name=f'x/{i:03d}.png', width=8, height=6))
        for number, side in enumerate((4, 2)):
            mask = np.zeros((6, 8), bool)
            mask[:side, :side] = True
            annotations.append(dict(id=len(annotations), image_id=i + 10, iscrowd=0,
                                    category_id=(5, 3)[number], **describe_mask(mask)))
    return LabelledImages(tmp_path / 'images', images, annotations,
                          [dict(id=3, name='small'), dict(id=5, name='large')])


def say_nothing(line: str) -> None:
    pass


def test_both_forms_of_one_data_set(found: LabelledImages, tmp_path: Path):
    said: list[str] = []
    out = write_annotations(found, tmp_path / 'out', None, SETTINGS, said.append)
    parts = {part: json.loads((out / f'{part}.json').read_text()) for part in ('train', 'val')}
    assert [len(parts[part]['images']) for part in parts] == [3, 1]
    assert [len(parts[part]['annotations']) for part in parts] == [6, 2]
    for part, content in parts.items():
        names = (out / f'{part}.txt').read_text().splitlines()
        assert names == [image['file_name'] for image in content['images']]
        for name in names:
            values = np.asarray(Image.open(out / 'maps' / f'{name}.png'))
            assert values.dtype == np.uint8 and values.shape == (6, 8)
            assert np.array_equal(values[:4, :4] == 1, np.indices((4, 4)).max(0) < 2)
            assert np.bincount(values.flatten()).tolist() == [32, 4, 12]
    assert said == ['Objects hide each other in 4 maps: there the smaller one is on top.']


def test_what_is_there_is_neither_repeated_nor_replaced(found: LabelledImages, tmp_path: Path):
    out = write_annotations(found, tmp_path / 'out', None, SETTINGS, say_nothing)
    (out / 'train.json').write_text('changed')
    write_annotations(found, out, None, SETTINGS, say_nothing)
    assert (out / 'train.json').read_text() == 'changed'
    with pytest.raises(ValueError, match='cell.*expected an empty or new folder'):
        write_annotations(found, out, None, dict(category='other'), say_nothing)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'a').touch()
    with pytest.raises(ValueError, match='something else'):
        write_annotations(found, tmp_path / 'full', None, SETTINGS, say_nothing)


def test_other_labels_or_another_choice_under_the_same_settings_are_refused(
        found: LabelledImages, tmp_path: Path):
    listed = tmp_path / 'list.txt'
    listed.write_text(f'{found.root}/x/001.png\n')
    out = write_annotations(found, tmp_path / 'out', listed, SETTINGS, say_nothing)
    listed.write_text(f'{found.root}/x/002.png\n')
    with pytest.raises(ValueError, match='something else .held_out .digest of the content'):
        write_annotations(found, out, listed, SETTINGS, say_nothing)
    listed.write_text(f'{found.root}/x/001.png\n')
    write_annotations(found, out, listed, SETTINGS, say_nothing)
    found.annotations.pop()
    with pytest.raises(ValueError, match=r'something else \(labels .digest of the content'):
        write_annotations(found, out, listed, SETTINGS, say_nothing)


def test_what_was_written_without_digests_is_kept_with_a_word(found: LabelledImages,
                                                              tmp_path: Path):
    out = write_annotations(found, tmp_path / 'out', None, SETTINGS, say_nothing)
    (out / 'settings.json').write_text(json.dumps(SETTINGS))
    said: list[str] = []
    assert write_annotations(found, out, None, SETTINGS, said.append) == out
    assert len(said) == 1 and 'written before labels were compared' in said[0]
    with pytest.raises(ValueError, match='category'):
        write_annotations(found, out, None, dict(category='other'), say_nothing)


def test_nothing_stays_of_a_writing_that_failed(found: LabelledImages, tmp_path: Path):
    found.annotations[:2] = []      # of the first image, the only one held out
    listed = tmp_path / 'list.txt'
    listed.write_text(f'{found.root}/x/000.png\n')
    with pytest.raises(ValueError, match='no object on the 1 images of the part val'):
        write_annotations(found, tmp_path / 'out', listed, SETTINGS, say_nothing)
    assert list(tmp_path.iterdir()) == [listed]


def test_who_decides_what_is_held_out(found: LabelledImages, tmp_path: Path):
    assert len(choose_held_out(found, None, say_nothing)) == 1
    (tmp_path / 'index.json').write_text(json.dumps(
        [dict(id=i, split='val' if i in (0, 2) else 'train') for i in range(4)]))
    assert choose_held_out(found, None, say_nothing) == {10, 12}
    listed = tmp_path / 'list.txt'
    listed.write_text(f'{found.root}/x/001.png\n')
    assert choose_held_out(found, listed, say_nothing) == {11}
    listed.write_text('elsewhere.png\n')
    with pytest.raises(ValueError, match='0 of 4 labelled images are held out.*list.txt decides'):
        choose_held_out(found, listed, say_nothing)


def test_lists_of_any_form_name_their_images(found: LabelledImages, tmp_path: Path):
    (tmp_path / 'link').symlink_to(found.root)
    listed = tmp_path / 'list.txt'
    for line in (f'{found.root}/x/001.png \n\n', f'\ufeff{found.root}/x/001.png\r\n',
                 f'{tmp_path}/link/x/001.png', 'images/x/001.png',
                 os.path.relpath(found.root / 'x/001.png')):
        listed.write_text(line, encoding='utf-8')
        assert choose_held_out(found, listed, pytest.fail) == {11}
    said: list[str] = []
    names = f'{found.root}/x/001.png', f'{found.root}/x/9.png', 'copies/x/002.png'
    listed.write_text('\n'.join(names), 'utf-16')
    assert choose_held_out(found, listed, said.append) == {11}
    assert len(said) == 1 and '2 of 3 lines of' in said[0] and said[0].endswith('x/9.png.')


def test_an_index_may_have_zeros_before_its_ids(found: LabelledImages, tmp_path: Path):
    index = tmp_path / 'index.json'
    index.write_text(json.dumps([dict(id=f'{i:02d}', split='val' if i == 2 else 'train')
                                 for i in range(4)]))
    assert choose_held_out(found, None, pytest.fail) == {12}
    index.write_text('[]')
    with pytest.raises(ValueError, match='0 of 4 .*index.json decides that'):
        choose_held_out(found, None, pytest.fail)


@pytest.mark.parametrize('content', ['{"a": 1}', '[{"id": 1}]', '["a"]', 'no JSON', '3'])
def test_an_index_of_another_kind_does_not_decide(content: str, found: LabelledImages,
                                                  tmp_path: Path):
    (tmp_path / 'index.json').write_text(content)
    said: list[str] = []
    assert len(choose_held_out(found, None, said.append)) == 1
    assert len(said) == 1 and 'index.json is no list of entries with id and split' in said[0]


def test_polygons_and_compressed_codes_are_drawn():
    pytest.importorskip('pycocotools')
    from pycocotools import mask as coder
    polygon = [[0, 0, 4, 0, 4, 3, 0, 3]]
    expected = np.zeros((6, 8), bool)
    expected[:3, :4] = True
    assert np.array_equal(decode_mask(polygon, 6, 8), expected)
    assert np.array_equal(decode_mask(coder.encode(np.asfortranarray(expected, np.uint8)), 6, 8),
                          expected)


def test_a_mask_of_another_size_is_refused():
    code = describe_mask(np.ones((6, 8), bool))['segmentation']
    with pytest.raises(ValueError, match=r'\[6, 8\], its image \[8, 6\]'):
        decode_mask(code, 8, 6)


def test_a_map_without_objects_is_background():
    drawn, hides = draw_map([], {}, 3, 4)
    assert drawn.shape == (3, 4) and not drawn.any() and not hides
