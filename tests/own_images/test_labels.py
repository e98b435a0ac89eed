from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.own_images import labels as labels_module
from addp_mm.own_images.annotations import decode_mask
from addp_mm.own_images.labels import LabelledImages, read_label_image, read_labels


def draw_labels(dtype: type = np.uint16) -> np.ndarray:
    """Two objects on 6 x 8 pixels: 2 x 3 at the top left, 1 x 2 at the bottom."""
    values = np.zeros((6, 8), dtype)
    values[:2, :3] = 7
    values[5, 4:6] = 9
    return values


def save_image(path: Path, size: tuple[int, int] = (8, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)


def save_labels(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """images/a.png and images/x/b.jpg, with label images of 16 bits."""
    save_image(tmp_path / 'images/a.png')
    save_image(tmp_path / 'images/x/b.jpg')
    save_labels(tmp_path / 'labels/a.png', draw_labels())
    save_labels(tmp_path / 'labels/x/b.tif', draw_labels())
    return tmp_path


def check_objects(found: LabelledImages, image_id: int = 1) -> None:
    objects = [x for x in found.annotations if x['image_id'] == image_id]
    assert [x['bbox'] for x in objects] == [[0, 0, 3, 2], [4, 5, 2, 1]]
    assert [x['area'] for x in objects] == [6, 2]
    for x, value in zip(objects, (7, 9), strict=True):
        assert np.array_equal(decode_mask(x['segmentation'], 6, 8), draw_labels() == value)


def test_label_images(folder: Path):
    found = read_labels(folder / 'images', folder / 'labels', 'cell')
    assert [image['file_name'] for image in found.images] == ['a.png', 'x/b.jpg']
    assert found.categories == [dict(id=1, name='cell')]
    check_objects(found, 1)
    check_objects(found, 2)


def test_one_mask_an_object(tmp_path: Path):
    save_image(tmp_path / 'a/images/a.png')
    for value in (7, 9):
        save_labels(tmp_path / f'a/masks/{value}.png',
                    ((draw_labels() == value) * 255).astype(np.uint8))
    save_labels(tmp_path / 'a/masks/empty.png', np.zeros((6, 8), np.uint8))
    save_labels(tmp_path / 'a/masks/zz.png', ((draw_labels() == 9) * 255).astype(np.uint8))
    found = read_labels(tmp_path, None)
    assert [image['file_name'] for image in found.images] == ['a/images/a.png']
    assert found.notes == ['1 masks are empty: left out.',
                           'Objects overlap on 1 images: kept as they are.']
    found.annotations.pop()
    check_objects(found)


def test_masks_that_may_be_inverted_are_counted(tmp_path: Path):
    save_image(tmp_path / 'a/images/a.png')
    for value in (7, 9):
        save_labels(tmp_path / f'a/masks/{value}.png', (draw_labels() == value).astype(np.uint8))
    assert read_labels(tmp_path, None).notes == []
    save_labels(tmp_path / 'a/masks/9.png', ((draw_labels() != 9) * 255).astype(np.uint8))
    assert read_labels(tmp_path, None).notes[-1].startswith(
        'WARNING: 1 of 2 masks cover more than half of their picture')


def test_masks_that_do_not_tell_what_they_mark_are_named(tmp_path: Path):
    save_image(tmp_path / 'a/images/a.png')
    save_labels(tmp_path / 'a/masks/1.png', draw_labels())
    with pytest.raises(ValueError, match='1.png cannot be read .it has 3 values from 0 to 9'):
        read_labels(tmp_path, None)


def test_a_coco_file_is_taken_as_it_is(folder: Path):
    first = read_labels(folder / 'images', folder / 'labels')
    write_coco(folder / 'all.json', first)
    assert read_labels(folder / 'images', folder / 'all.json') == first


def write_coco(path: Path, found: LabelledImages, **changes: list) -> None:
    path.write_text(json.dumps(dict(images=found.images, annotations=found.annotations,
                                    categories=found.categories) | changes))


def test_coco_files_that_do_not_fit_are_refused(folder: Path):
    found = read_labels(folder / 'images', folder / 'labels')
    path, images = folder / 'all.json', folder / 'images'
    first, *others = found.annotations
    for changes, message in [
        (dict(images=[found.images[0] | dict(file_name='c.png')]), r'1 of 1 images .* not there'),
        (dict(images=[found.images[0] | dict(width=9)]), r'a.png has 8 x 6 .* expected 9 x 6'),
        (dict(categories=[dict(id=i, name=str(i)) for i in range(255)]), r'255 .* at most 254'),
        (dict(annotations=[first | dict(segmentation=[])]), 'annotation 1 .* only a box'),
        (dict(annotations=[first | dict(image_id=7)]), 'belongs to image 7'),
        (dict(annotations=[first | dict(category_id=7)]), 'has category 7'),
        (dict(annotations=[]), 'There is no object'),
    ]:
        write_coco(path, found, **changes)
        with pytest.raises(ValueError, match=message):
            read_labels(images, path)
    for content in ('no JSON', '[]', '{"images": []}'):
        path.write_text(content)
        with pytest.raises(ValueError, match="not in COCO's format"):
            read_labels(images, path)


def test_objects_of_a_coco_file_are_not_numbered_from_zero(folder: Path):
    expected = read_labels(folder / 'images', folder / 'labels')
    write_coco(folder / 'all.json', expected, annotations=[
        x | dict(id=number) for number, x in enumerate(expected.annotations)])
    found = read_labels(folder / 'images', folder / 'all.json')
    assert found.annotations == expected.annotations
    assert [note[:34] for note in found.notes] == ['The objects were numbered anew, fr']


def test_what_a_coco_file_lacks_for_detectors_is_filled_in(folder: Path):
    expected = read_labels(folder / 'images', folder / 'labels')
    for lacking in (dict(area=0, iscrowd=None), dict(area=None)):
        write_coco(folder / 'all.json', expected,
                   annotations=[x | lacking for x in expected.annotations])
        found = read_labels(folder / 'images', folder / 'all.json')
        assert found.annotations == expected.annotations
        assert found.notes == ['4 objects had no area, an area of 0 or no iscrowd: filled in.']
    without = [{key: x[key] for key in x.keys() - {'area'}} for x in expected.annotations]
    write_coco(folder / 'all.json', expected, annotations=without)
    assert read_labels(folder / 'images', folder / 'all.json').annotations == expected.annotations


def test_labels_of_another_size_are_refused(folder: Path):
    save_labels(folder / 'labels/a.png', np.ones((5, 8), np.uint16))
    with pytest.raises(ValueError, match=r'labels.a.png has 8 x 5 pixels, expected 8 x 6'):
        read_labels(folder / 'images', folder / 'labels')


def test_values_that_8_bits_cut_off_are_refused(tmp_path: Path):
    values = np.arange(300).reshape(15, 20)
    save_labels(tmp_path / 'a.png', values.astype(np.uint8))
    with pytest.raises(ValueError, match='labels above 255 were cut off'):
        read_label_image(tmp_path / 'a.png')
    save_labels(tmp_path / 'b.png', values.astype(np.uint16))
    assert np.array_equal(read_label_image(tmp_path / 'b.png'), values)


def test_pictures_that_hold_no_labels_are_refused(tmp_path: Path):
    save_image(tmp_path / 'colour.png')
    save_image(tmp_path / 'lossy.jpg')
    save_labels(tmp_path / 'half.tif', np.full((4, 4), 0.5, np.float32))
    for name, message in (('colour.png', 'colour picture'), ('lossy.jpg', 'JPEG'),
                          ('half.tif', 'fractional')):
        with pytest.raises(ValueError, match=message):
            read_label_image(tmp_path / name)


def test_masks_of_all_objects_are_told_from_label_images(folder: Path):
    for name in ('a.png', 'x/b.tif'):
        save_labels(folder / 'labels' / name, ((draw_labels() > 0) * 255).astype(np.uint8))
    with pytest.raises(ValueError, match='one value at 2 separate places.*--components'):
        read_labels(folder / 'images', folder / 'labels')
    check_objects(read_labels(folder / 'images', folder / 'labels', components=True))
    for name in ('a.png', 'x/b.tif'):
        values = np.ones((6, 8), np.uint8)      # the other place is small
        values[4], values[5, 1:] = 0, 0
        save_labels(folder / 'labels' / name, values)
    with pytest.raises(ValueError, match='one value at 2 separate places.*--components'):
        read_labels(folder / 'images', folder / 'labels')


def test_maps_of_classes_are_told_from_label_images(folder: Path):
    values = np.zeros((6, 8), np.uint8)
    values[0, ::3], values[4, ::3], values[2, 2] = 1, 2, 3
    save_labels(folder / 'labels/a.png', draw_labels())
    for name in ('x/b.tif', 'a.png'):
        whole = read_labels(folder / 'images', folder / 'labels')
        assert len(whole.images) == 2       # one of two may be in parts
        save_labels(folder / 'labels' / name, values)
    with pytest.raises(ValueError, match='one value at 3 separate places.* 4 of 6 .*--components'):
        read_labels(folder / 'images', folder / 'labels')


def test_label_images_are_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    read, decoded = read_label_image, []

    def count(path: Path) -> np.ndarray:
        decoded.append(path.name)
        return read(path)

    monkeypatch.setattr(labels_module, 'read_label_image', count)
    read_labels(folder / 'images', folder / 'labels')
    assert decoded == ['a.png', 'b.tif']


def test_specks_and_corners_do_not_part_an_object(folder: Path):
    values = np.zeros((6, 8), np.uint8)
    values[:3, :5], values[5, 7] = 1, 1
    values[3, 5] = 1
    values[4, :3] = 2
    for name in ('a.png', 'x/b.tif'):
        save_labels(folder / 'labels' / name, values)
    assert len(read_labels(folder / 'images', folder / 'labels').annotations) == 4


def test_two_label_images_of_one_name_are_refused(folder: Path):
    save_image(folder / 'labels/a.jpg')
    read_labels(folder / 'images', folder / 'labels')
    save_labels(folder / 'labels/a.tif', draw_labels())
    with pytest.raises(ValueError, match='a.png and .*a.tif have one name'):
        read_labels(folder / 'images', folder / 'labels')


def test_label_images_of_several_pages_are_refused(folder: Path):
    pages = [Image.fromarray(draw_labels()), Image.fromarray(draw_labels())]
    pages[0].save(folder / 'labels/x/b.tif', save_all=True, append_images=pages[1:])
    with pytest.raises(ValueError, match='b.tif cannot be read .it has 2 pages, expected one'):
        read_labels(folder / 'images', folder / 'labels')
    small = pages[1].resize((4, 3))
    pages[0].save(folder / 'labels/x/b.tif', save_all=True, append_images=[small])
    check_objects(read_labels(folder / 'images', folder / 'labels'), 2)


@pytest.mark.parametrize('value', [-1, np.nan, np.inf])
def test_values_that_are_no_labels_are_refused(value: float, tmp_path: Path):
    values = draw_labels().astype(np.float32)
    values[0, 0] = value
    save_labels(tmp_path / 'a.tif', values)
    with pytest.raises(ValueError, match='negative or no finite numbers'):
        read_label_image(tmp_path / 'a.tif')


def test_linked_folders_and_hidden_files(folder: Path):
    (folder / 'labels/._a.png').write_bytes(b'of macOS')
    (folder / 'images/._a.png').write_bytes(b'of macOS')
    for part in ('images', 'labels'):
        (folder / part / 'x').rename(folder / f'other {part}')
        (folder / part / 'x').symlink_to(folder / f'other {part}')
    found = read_labels(folder / 'images', folder / 'labels')
    assert [image['file_name'] for image in found.images] == ['a.png', 'x/b.jpg']
    assert not found.notes


def test_options_that_change_nothing_are_told(folder: Path):
    found = read_labels(folder / 'images', folder / 'labels', 'cell')
    write_coco(folder / 'all.json', found)
    for category in ('object', 'cell'):
        assert not read_labels(folder / 'images', folder / 'all.json', category).notes
    notes = read_labels(folder / 'images', folder / 'all.json', 'dot', components=True).notes
    assert [note.split(' changes nothing')[0] for note in notes] == [
        'WARNING: --components is for label images and', 'WARNING: --category dot']


def test_images_without_labels_are_left_out_and_counted(folder: Path):
    save_image(folder / 'images/c.png')
    save_labels(folder / 'labels/d.png', draw_labels())
    found = read_labels(folder / 'images', folder / 'labels')
    assert len(found.images) == 2
    assert found.notes[0] == '1 images have no label image: left out.'
    assert found.notes[1].startswith('1 label images have no image, such as')


def test_what_is_not_there_is_named(folder: Path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        read_labels(folder / 'images', folder / 'nowhere')
    with pytest.raises(ValueError, match='found none. For other layouts'):
        read_labels(folder / 'images', None)
    with pytest.raises(ValueError, match='No label image in .* has the name of an image'):
        read_labels(folder / 'images/x', folder / 'labels')


def test_labels_of_a_picture_that_is_turned(tmp_path: Path):
    """The picture is stored lying; its labels are drawn as it is shown, or stored as it is."""
    turned = Image.Exif()
    turned[274] = 6
    for part in ('drawn', 'stored'):
        (tmp_path / part).mkdir()
    (tmp_path / 'images').mkdir()
    Image.new('RGB', (6, 8)).save(tmp_path / 'images/a.jpg', exif=turned)
    Image.fromarray(draw_labels()).save(tmp_path / 'drawn/a.png')
    lying = np.rot90(draw_labels())
    Image.fromarray(lying).save(tmp_path / 'stored/a.png', exif=turned)
    for part in ('drawn', 'stored'):
        found = read_labels(tmp_path / 'images', tmp_path / part)
        assert (found.images[0]['width'], found.images[0]['height']) == (8, 6)
        check_objects(found)
    Image.fromarray(lying).save(tmp_path / 'drawn/a.png')
    with pytest.raises(ValueError, match='has 6 x 8 pixels, expected 8 x 6'):
        read_labels(tmp_path / 'images', tmp_path / 'drawn')


def test_masks_of_16_bits(tmp_path: Path):
    save_image(tmp_path / 'a/images/a.png')
    save_labels(tmp_path / 'a/masks/1.png', (draw_labels() == 7).astype(np.uint16) * 65535)
    (tmp_path / 'a/masks/2.png').write_bytes(b'no picture')
    with pytest.raises(ValueError, match='2.png cannot be read .not an image.'):
        read_labels(tmp_path, None)
    (tmp_path / 'a/masks/2.png').unlink()
    found = read_labels(tmp_path, None)
    assert [x['area'] for x in found.annotations] == [6]


@pytest.mark.parametrize('changes, message', [
    (dict(segmentation=[[1, 2, 3]]), 'mask .segmentation. that cannot be read'),
    (dict(bbox=[6, 3, 1, 1]), 'does not lie in its box'), (dict(area='6'), 'an area that is no')])
def test_outlines_of_a_coco_file_that_are_none(changes: dict, message: str, tmp_path: Path):
    save_image(tmp_path / 'a.png')
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 3, 2], area=6,
                      segmentation=[[0, 0, 3, 0, 3, 2, 0, 2]])
    content = dict(images=[dict(id=1, file_name='a.png', width=8, height=6)],
                   annotations=[annotation], categories=[dict(id=1, name='cell')])
    (tmp_path / 'a.json').write_text(json.dumps(content))
    assert len(read_labels(tmp_path, tmp_path / 'a.json').annotations) == 1
    annotation.update(changes)
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path, tmp_path / 'a.json')


def test_objects_need_a_name(tmp_path: Path):
    with pytest.raises(ValueError, match='name of the objects .--category., got an empty one'):
        read_labels(tmp_path, None, ' ')
