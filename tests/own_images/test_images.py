from __future__ import annotations

import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.datasets import ImageFolder
from addp_mm.datasets.image_reader import read_pixels, to_rgb
from addp_mm.datasets.transforms import LoadRobustImage
from addp_mm.own_images.image_check import check_image, cut_tiles, shrink
from addp_mm.own_images.images import find_images, hold_out, prepare_images

SIZE = 16


def draw(mode: str = 'RGB', size: tuple[int, int] = (20, 30)) -> Image.Image:
    values = np.arange(size[0] * size[1] * 3, dtype=np.int64).reshape(size[1], size[0], 3) % 251
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def say_nothing(line: str) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three plain images, one in a folder below, and a file that is none."""
    path = tmp_path / 'images'
    (path / 'deeper').mkdir(parents=True)
    draw().save(path / 'a.png')
    draw('L').save(path / 'b.JPG')
    draw().save(path / 'deeper' / 'c.jpeg')
    (path / 'notes.txt').write_text('no image')
    return path


def read_lists(out: Path) -> tuple[list[str], list[str]]:
    return tuple((out / f'{part}.txt').read_text().splitlines() for part in ('train', 'val'))


def test_plain_images_stay_where_they_are(folder: Path, tmp_path: Path):
    images = prepare_images(folder, tmp_path / 'out', SIZE, say_nothing)
    train, val = read_lists(tmp_path / 'out')
    assert sorted(train + val) == sorted(map(str, find_images(folder, tmp_path)[0]))
    assert (images.num_train, images.num_val) == (len(train), len(val)) == (2, 1)
    assert images.notes == ['3 images are few: expect the models to learn them by heart.']


def test_odd_images_are_brought_to_rgb_and_named(folder: Path, tmp_path: Path):
    draw('CMYK').save(folder / 'cmyk.jpg')
    draw('P').save(folder / 'palette.png')
    draw('RGBA').save(folder / 'alpha.png')
    Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20)).save(folder / 'deep.png')
    draw().save(folder / 'moving.gif', save_all=True, append_images=[draw().rotate(90)])
    draw(size=(60, 60)).save(folder / 'cut.jpg')
    whole = (folder / 'cut.jpg').read_bytes()
    (folder / 'cut.jpg').write_bytes(whole[:-200])  # opens, but does not decode
    (folder / 'empty.png').write_bytes(b'')
    draw(size=(8, 30)).save(folder / 'tiny.png')
    draw(size=(200, 300)).save(folder / 'huge.png')
    images = prepare_images(folder, tmp_path / 'out', SIZE, say_nothing)
    notes = '\n'.join(images.notes)
    for words in ('cmyk.jpg', 'palette.png', '1 image transparent: put on white: alpha.png',
                  'more than 8 bits', 'several pages: only the first one is used: moving.gif',
                  '2 images unreadable, skipped: cut.jpg', 'empty.png',
                  'smaller than the crop of 16 pixels: enlarged: tiny.png', 'stored smaller'):
        assert words in notes
    paths = [path for part in read_lists(tmp_path / 'out') for path in part]
    assert len(paths) == 10
    for path in paths:
        with Image.open(path) as image:
            assert image.mode in ('RGB', 'L')
            assert min(image.size) <= 4 * SIZE
    assert [p for p in paths if p.endswith('tiny.png')] == [str(folder / 'tiny.png')]


@pytest.mark.parametrize(('mode', 'expected'), [('RGBA', 255), ('LA', 255)])
def test_transparent_places_become_white(mode: str, expected: int):
    image = Image.new(mode, (4, 4), 0)
    assert np.asarray(to_rgb(image)).min() == expected


def test_16_bits_are_scaled_by_the_same_factor_for_all_images():
    for value, expected in ((25700, 100), (25699, 99), (65535, 255)):
        image = Image.fromarray(np.full((4, 4), value, np.uint16))
        assert np.unique(np.asarray(to_rgb(image))).tolist() == [expected]


def test_floats_are_scaled_from_their_minimum_to_their_maximum():
    image = Image.fromarray(np.array([[-1., 0., 1.]], np.float32))
    assert np.asarray(to_rgb(image))[0, :, 0].tolist() == [0, 128, 255]


def test_images_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    file = io.BytesIO()
    draw().save(file, 'JPEG', exif=exif)
    with Image.open(file) as image:
        assert to_rgb(image).size == (30, 20)


def test_shrink_keeps_the_shape():
    assert shrink(draw(size=(80, 120)), 40).size == (40, 60)
    assert shrink(draw(size=(80, 120)), 90).size == (80, 120)


def test_a_finished_check_is_not_repeated(folder: Path, tmp_path: Path):
    said: list[str] = []
    first = prepare_images(folder, tmp_path / 'out', SIZE, said.append)
    draw().save(folder / 'later.png')
    assert prepare_images(folder, tmp_path / 'out', SIZE, said.append) == first
    assert len(said) == 2
    assert said[1].startswith('WARNING: 1 image in') and 'not used: later.png' in said[1]
    with pytest.raises(ValueError, match=r'other settings .image_size 16, now 8.: choose another'):
        prepare_images(folder, tmp_path / 'out', 8, said.append)


@pytest.mark.parametrize('ending', ['zip', 'tar.gz'])
def test_an_archive_is_unpacked_once(folder: Path, tmp_path: Path, ending: str):
    archive = tmp_path / f'images.{ending}'
    if ending == 'zip':
        with zipfile.ZipFile(archive, 'w') as file:
            for path in folder.rglob('*.*'):
                file.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, 'w:gz') as file:
            file.add(folder, 'x')
    for _ in range(2):
        paths, _ = find_images(archive, tmp_path)
        assert sorted(path.name for path in paths) == ['a.png', 'b.JPG', 'c.jpeg']


def test_a_broken_archive_is_named(tmp_path: Path):
    (tmp_path / 'a.zip').write_bytes(b'PK broken')
    with pytest.raises(ValueError, match=r'a.zip is no whole archive'):
        find_images(tmp_path / 'a.zip', tmp_path)


def test_a_list_is_relative_to_its_folder(folder: Path, tmp_path: Path):
    (folder / 'list.txt').write_text('a.png\n\ndeeper/c.jpeg\n')
    assert find_images(folder / 'list.txt', tmp_path) == (
        [folder / 'a.png', folder / 'deeper/c.jpeg'], [])


def test_what_cannot_be_trained_with_is_refused(folder: Path, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='there is none'):
        prepare_images(tmp_path / 'nowhere', tmp_path / 'out', SIZE, say_nothing)
    with pytest.raises(ValueError, match='no image in'):
        prepare_images(tmp_path / 'out', tmp_path / 'out2', SIZE, say_nothing)
    (folder / 'a.png').write_bytes(b'broken')
    with pytest.raises(ValueError, match='(?s)2 usable images, expected at least 3.*a.png'):
        prepare_images(folder, tmp_path / 'out3', SIZE, say_nothing)


def test_a_full_disk_is_not_taken_for_a_broken_image(folder: Path, tmp_path: Path):
    draw('P').save(folder / 'p.png')
    with pytest.raises(FileNotFoundError):
        check_image(folder / 'p.png', tmp_path / 'missing folder', SIZE)


def test_a_fixed_tenth_is_held_out():
    paths = [str(i) for i in range(200)]
    train, val = hold_out(paths)
    assert (len(train), len(val)) == (180, 20)
    assert sorted(train + val) == sorted(paths)
    assert hold_out(paths) == (train, val)
    assert len(hold_out([str(i) for i in range(9000)])[1]) == 500


def test_linked_folders_and_copies_of_one_name(tmp_path: Path):
    for name in ('data/a__b/c.png', 'data/a/b__c.png', 'elsewhere/d.png', 'data/._a.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        draw('P').save(tmp_path / name)
    (tmp_path / 'data' / 'link').symlink_to(tmp_path / 'elsewhere')
    images = prepare_images(tmp_path / 'data', tmp_path / 'data' / 'out', SIZE, say_nothing)
    paths = [path for part in read_lists(tmp_path / 'data' / 'out') for path in part]
    assert len(set(paths)) == 3 == images.num_train + images.num_val
    assert all(Path(path).is_file() for path in paths)
    again = prepare_images(tmp_path / 'data', tmp_path / 'out', SIZE, say_nothing)
    assert again.num_train + again.num_val == 6      # copies of another --out are images too
    with pytest.raises(ValueError, match='holds the images themselves.*another --out'):
        prepare_images(tmp_path / 'data', tmp_path / 'data', SIZE, say_nothing)


def test_long_and_odd_names(tmp_path: Path):
    data = tmp_path / 'data'
    data.mkdir()
    names = [b'caf\xe9.png', b'two\nlines.png', '図' .encode() * 80 + b'.png', b' a .png']
    for name in names:
        draw('P' if len(name) > 99 else 'RGB').save(os.fsdecode(os.fsencode(data) + b'/' + name))
    images = prepare_images(data, tmp_path / 'out', SIZE, say_nothing)
    notes = '\n'.join(images.notes)
    assert '2 images of a name that a list cannot hold: copied: caf\\udce9.png' in notes
    out = tmp_path / 'out'
    for part, count in (('train', images.num_train), ('val', images.num_val)):
        dataset = ImageFolder(ann_file=str(out / f'{part}.txt'), test_mode=True,
                              pipeline=[LoadRobustImage()])
        assert [dataset[i]['img'].shape for i in range(count)] == [(30, 20, 3)] * count


def test_a_picture_that_only_pillow_knows_is_read_by_the_training_too(tmp_path: Path):
    for index in range(3):
        draw().save(tmp_path / f'{index}.tif', compression='zstd')
    images = prepare_images(tmp_path, tmp_path / 'out', SIZE, say_nothing)
    dataset = ImageFolder(ann_file=images.train, pipeline=[LoadRobustImage()], test_mode=True)
    assert dataset[0]['img'].shape == (30, 20, 3)


def test_phone_pictures_are_named(folder: Path, tmp_path: Path):
    (folder / 'IMG_1.HEIC').write_bytes(b'\0\0\0\x18ftypheic' + b'\0' * 60)
    images = prepare_images(folder, tmp_path / 'out', SIZE, say_nothing)
    assert 'IMG_1.HEIC (HEIC, which cannot be read here: convert it to JPEG' in images.notes[0]


def test_at_native_scale_small_images_are_left_out_and_large_ones_become_tiles(
        folder: Path, tmp_path: Path):
    draw(size=(12, 40)).save(folder / 'tiny.png')
    draw(size=(300, 200)).save(folder / 'huge.png')
    draw(size=(250, 100)).save(folder / 'wide.png')
    images = prepare_images(folder, tmp_path / 'out', SIZE, say_nothing, scale='native')
    assert images.scale == 'native'
    notes = '\n'.join(images.notes)
    assert '1 image smaller than the crop of 16 pixels: left out: tiny.png' in notes
    assert '1 image larger than 16 crops of 16 pixels: stored as tiles: huge.png' in notes
    train, val = read_lists(tmp_path / 'out')
    tiles = [path for path in train + val if 'huge' in path]
    assert len(tiles) == 2 and (set(tiles) <= set(train) or set(tiles) <= set(val))
    sizes = [Image.open(path).size for path in sorted(tiles)]
    assert sizes == [(150, 200), (150, 200)]
    assert str(folder / 'wide.png') in train + val       # not stored smaller


def test_tiles_cover_an_image_once():
    image = draw(size=(300, 530))
    tiles = cut_tiles(image, SIZE)
    whole = np.concatenate([np.concatenate([np.asarray(tile) for tile in tiles[row:row + 2]], 1)
                            for row in range(0, len(tiles), 2)])
    assert np.array_equal(whole, np.asarray(image))
    assert cut_tiles(draw(size=(256, 30)), SIZE)[0].size == (256, 30)


def test_images_of_one_colour_are_left_out(folder: Path, tmp_path: Path):
    Image.new('RGB', (20, 20), 'red').save(folder / 'red.png')
    images = prepare_images(folder, tmp_path / 'out', SIZE, say_nothing)
    assert '1 image of one colour: left out: red.png.' in images.notes
    for path in find_images(folder, tmp_path)[0]:
        Image.new('L', (20, 20), 7).save(path)
    with pytest.raises(ValueError, match='0 usable images, .* of one colour'):
        prepare_images(folder, tmp_path / 'out2', SIZE, say_nothing)


def save_deep(path: Path, high: int) -> None:
    """A grey image of 16 bits with values up to ``high``."""
    Image.fromarray((np.arange(400).reshape(20, 20) * high // 399).astype(np.uint16)).save(path)


def test_what_becomes_one_colour_is_left_out(folder: Path, tmp_path: Path):
    save_deep(folder / 'deep.png', 200)
    clear = draw('RGBA')
    clear.putalpha(0)
    clear.save(folder / 'clear.png')
    deep, clear = (check_image(folder / name, tmp_path, SIZE) for name in ('deep.png', 'clear.png'))
    assert deep.paths == clear.paths == []
    assert '8 bits: left out (--stretch uses' in deep.findings[0]
    assert clear.findings == ['of one colour: left out']
    assert len(check_image(folder / 'deep.png', tmp_path, SIZE, stretch=True).paths) == 1


@pytest.mark.parametrize('bits, is_told', [(12, True), (13, True), (14, False), (16, False)])
def test_stretching_is_named_where_few_levels_are_left(folder: Path, tmp_path: Path, bits: int,
                                                       is_told: bool):
    save_deep(folder / 'deep.png', 2**bits - 1)
    findings = check_image(folder / 'deep.png', tmp_path, SIZE).findings
    assert any('--stretch uses their range' in finding for finding in findings) == is_told
    findings = check_image(folder / 'deep.png', tmp_path, SIZE, stretch=True).findings
    assert not any('--stretch' in finding for finding in findings)


@pytest.mark.parametrize('changes', [dict(stretch=True), dict(image_size=8),
                                     dict(scale='native')])
def test_copies_of_other_settings_are_not_taken(folder: Path, tmp_path: Path, changes: dict):
    save_deep(folder / 'deep.png', 65535)
    settings: dict = dict(image_size=SIZE)
    first = check_image(folder / 'deep.png', tmp_path, **settings).paths
    assert check_image(folder / 'deep.png', tmp_path, **settings).paths == first
    assert check_image(folder / 'deep.png', tmp_path, **settings | changes).paths != first


def test_the_copy_of_a_replaced_image_is_not_taken(folder: Path, tmp_path: Path):
    save_deep(folder / 'deep.png', 65535)
    first = check_image(folder / 'deep.png', tmp_path, SIZE).paths
    save_deep(folder / 'deep.png', 30000)
    (again, ) = check_image(folder / 'deep.png', tmp_path, SIZE).paths
    assert [again] != first and np.asarray(Image.open(again)).max() == 30000 // 257


def test_grey_images_are_stretched_where_wanted(folder: Path, tmp_path: Path):
    dim = (np.arange(400).reshape(20, 20) % 30 + 10).astype(np.uint8)
    Image.fromarray(dim).convert('RGB').save(folder / 'dim.png')
    Image.fromarray(dim.astype(np.uint16) * 3 + 700).save(folder / 'deep.png')
    for name in ('dim', 'deep'):
        found = check_image(folder / f'{name}.png', tmp_path, SIZE, stretch=True)
        assert 'grey: stretched to its range' in found.findings
        stretched = np.asarray(Image.open(found.paths[0]))
        assert (stretched.min(), stretched.max()) == (0, 255)
        assert stretched[0, 15, 0] == round(15 / 29 * 255)
    colour = check_image(folder / 'a.png', tmp_path, SIZE, stretch=True)
    assert colour.paths == [str(folder / 'a.png')]


def test_a_copy_is_not_taken_for_that_of_a_replaced_image(folder: Path, tmp_path: Path):
    copies = []
    for opacity in (255, 100):
        image = Image.linear_gradient('L').resize((32, 32)).convert('RGB')
        image.putalpha(opacity)
        image.save(folder / 'same.png', compress_level=0)
        os.utime(folder / 'same.png', (0, 0))
        copies += check_image(folder / 'same.png', tmp_path, SIZE).paths
        time.sleep(0.02)        # the clock of files is coarse
    assert len({*copies}) == 2


def test_a_stretched_image_is_upright(folder: Path, tmp_path: Path):
    turned = Image.Exif()
    turned[274] = 6
    grey = (np.arange(600).reshape(20, 30) // 4).astype(np.uint8)
    Image.fromarray(grey).save(folder / 'turned.jpg', exif=turned)
    found = check_image(folder / 'turned.jpg', tmp_path, SIZE, stretch=True)
    upright = read_pixels(folder / 'turned.jpg')[..., 0].astype(float)
    stretched = np.asarray(Image.open(found.paths[0]).convert('L')).astype(float)
    assert stretched.shape == upright.shape == (30, 20)
    assert np.corrcoef(stretched.ravel(), upright.ravel())[0, 1] > 0.99


def test_labels_beside_images_are_no_images(folder: Path, tmp_path: Path):
    (folder / 'x' / 'images').mkdir(parents=True)
    (folder / 'x' / 'masks').mkdir()
    draw().save(folder / 'x' / 'images' / 'x.png')
    draw('L').save(folder / 'x' / 'masks' / '1.png')
    paths, notes = find_images(folder, tmp_path)
    assert [path.name for path in paths] == ['a.png', 'b.JPG', 'c.jpeg', 'x.png']
    assert notes == [f'Taken for labels and left out: 1 of 5 files, those in {folder}/x/masks.']
    assert find_images(folder / 'x' / 'masks', tmp_path) == ([folder / 'x' / 'masks' / '1.png'], [])


@pytest.mark.parametrize('images, labels', [
    ('images/training', 'annotations/training'), ('Images', 'Masks'), ('images', 'masks/a/b')])
@pytest.mark.parametrize('kind', ['folder', 'list', 'archive'])
def test_labels_of_other_layouts_are_no_images(tmp_path: Path, images: str, labels: str, kind: str):
    data, names = tmp_path / 'labels' / 'data', [f'{images}/0.png', f'{labels}/0.png']
    (tmp_path / 'images').mkdir()       # beside a folder above the data: says nothing
    for name in names:
        (data / name).parent.mkdir(parents=True)
        draw().save(data / name)
    (data / 'list.txt').write_text('\n'.join(names))
    with zipfile.ZipFile(data / 'all.zip', 'w') as file:
        for name in names:
            file.write(data / name, name)
    source = data / dict(folder='', list='list.txt', archive='all.zip')[kind]
    out = tmp_path / 'labels' / 'out'
    paths, notes = find_images(source, out)
    root = out / 'unpacked' if kind == 'archive' else data
    assert paths == [root / names[0]]
    assert len(notes) == 1 and str(root / Path(labels).parts[0]) in notes[0]


def test_an_image_that_is_named_twice_is_taken_once(folder: Path, tmp_path: Path):
    (folder / 'list.txt').write_text('a.png\n./a.png\ndeeper/../a.png\nlink.png\nb.JPG\n')
    (folder / 'link.png').symlink_to(folder / 'a.png')
    paths, notes = find_images(folder / 'list.txt', tmp_path)
    assert paths == [folder / 'a.png', folder / 'b.JPG']
    assert notes == ['3 of 5 paths lead to the file of another path: left out.']


def test_another_archive_is_named_and_not_unpacked(folder: Path, tmp_path: Path):
    said: list[str] = []
    archive, out = tmp_path / 'all.zip', tmp_path / 'out'
    for names in (['a.png', 'b.JPG', 'deeper/c.jpeg'], ['a.png', 'b.JPG']):
        with zipfile.ZipFile(archive, 'w') as file:
            for name in names:
                file.write(folder / name, name)
        for _ in range(2):
            prepare_images(archive, out, SIZE, said.append)
    assert len(said) == 3 and all('all.zip has changed since' in line for line in said[1:])
    assert (out / 'unpacked' / 'deeper' / 'c.jpeg').is_file()


def test_what_is_held_out_is_listed_as_the_user_named_it(folder: Path, tmp_path: Path):
    draw('RGBA').save(folder / 'z.png')
    images = prepare_images(folder, tmp_path / 'out', SIZE, say_nothing)
    held_out = Path(images.held_out).read_text().splitlines()
    assert len(held_out) == images.num_val and held_out[0].startswith(str(folder))
