"""Folders, archives and lists of images."""
from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from addp_mm.own_images.image_sources import claim, files_of


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / 'images' / 'a.png'
    path.parent.mkdir()
    Image.new('RGB', (4, 4)).save(path)
    return path


def zipped(image: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as file:
        file.write(image, 'a.png')
    return path


def test_an_archive_is_known_by_its_content(image: Path, tmp_path: Path):
    path = zipped(image, tmp_path / 'images.cbz')
    assert [p.name for p in files_of(path, tmp_path / 'out')] == ['a.png']
    with tarfile.open(tmp_path / 'images.data', 'w:xz') as file:
        file.add(image, 'b.png')
    # Another archive in the same folder is not taken for the one that is unpacked already.
    assert [p.name for p in files_of(tmp_path / 'images.data', tmp_path / 'out')] == ['b.png']


def change_method(data: bytes) -> bytes:
    """Name a way of compression that nobody knows."""
    place = data.index(b'PK\x01\x02')
    return data[:place + 10] + b'\x61\x00' + data[place + 12:]


def encrypt(data: bytes) -> bytes:
    """Set the flag of encryption in both headers of a .zip with one file."""
    place = data.index(b'PK\x01\x02')
    return data[:6] + b'\x01' + data[7:place + 8] + b'\x01' + data[place + 9:]


@pytest.mark.parametrize('change, message', [
    (encrypt, 'is encrypted: unpack it with its password'),
    (lambda data: data[:40] + b'\xff' * 8 + data[48:], 'is no whole archive'),
    (lambda data: data[:-30], 'is no whole archive'),
    (change_method, 'is no whole archive'),
    (lambda data: b'', 'is no whole archive')])
def test_broken_archives(image: Path, tmp_path: Path, change, message: str):
    path = zipped(image, tmp_path / 'images.zip')
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        files_of(path, tmp_path / 'out')


@pytest.mark.parametrize('name, content, message', [
    ('a.7z', b"7z\xbc\xaf'\x1c\0", 'is a kind of archive that is not read'),
    ('a.rar', b'Rar!\x1a\7\0', 'unpack it and name the folder'),
    ('a.jpg', b'\xff\xd8', 'is a single image'), ('a.HEIC', b'', 'is a single image'),
    ('a.h5', b'\x89HDF\0\0', 'is no text'), ('a.txt', b'x.png\ny.png\n', '2 lines, none of which'),
    ('a.csv', 'a.png\n'.encode('utf-16-le'), 'is no text'),
    ('a.gz', b'\x1f\x8b\0\0', 'is a kind of archive that is not read')])
def test_other_files_are_told_apart(image: Path, tmp_path: Path, name: str, content: bytes,
                                    message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        files_of(tmp_path / name, tmp_path / 'out')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_lists_of_editors(image: Path, encoding: str):
    (image.parent / 'list.txt').write_bytes('a.png\r\n\r\n'.encode(encoding))
    assert files_of(image.parent / 'list.txt', image.parent / 'out') == [image]


def test_a_folder_of_the_user_is_not_unpacked_over(image: Path, tmp_path: Path):
    path, out = zipped(image, tmp_path / 'images.zip'), tmp_path / 'out'
    work = out / 'unpacked' / 'my_work.txt'
    work.parent.mkdir(parents=True)
    work.write_text('precious')
    with pytest.raises(ValueError, match='unpacked, where .*images.zip would be unpacked, has files'
                                         ' of others'):
        files_of(path, out)
    assert work.read_text() == 'precious'


def test_a_broken_archive_can_be_replaced(image: Path, tmp_path: Path):
    path, out = zipped(image, tmp_path / 'images.zip'), tmp_path / 'out'
    whole = path.read_bytes()
    path.write_bytes(whole[:40] + b'\xff' * 8 + whole[48:])
    with pytest.raises(ValueError, match='is no whole archive'):
        files_of(path, out)
    path.write_bytes(whole)
    assert files_of(path, out) == [out / 'unpacked' / 'a.png']


@pytest.mark.parametrize('name', ['train.txt', 'held_out.txt', 'report.md', 'images/a.png',
                                  'vqgan/epoch_1.pth'])
def test_files_of_others_are_not_replaced(image: Path, tmp_path: Path, name: str):
    theirs = tmp_path / 'out' / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text('precious')
    for _ in range(2):
        with pytest.raises(ValueError, match=f'did not write .*{Path(name).parts[0]}. Give'):
            claim(image.parent, tmp_path / 'out')
    assert theirs.read_text() == 'precious'


def test_a_folder_is_claimed_before_anything_is_written(image: Path, tmp_path: Path):
    out = tmp_path / 'out'
    (out / 'unpacked').mkdir(parents=True)      # matters to archives only
    claim(image.parent, out)
    (out / 'images').mkdir()
    claim(image.parent, out)                    # after a stop


def test_a_list_that_would_be_replaced_is_refused(image: Path, tmp_path: Path):
    out = tmp_path / 'out'
    claim(image.parent, out)
    (out / 'train.txt').write_text(f'{image}\n')
    with pytest.raises(ValueError, match='train.txt has the name of a list that is written'):
        claim(out / 'train.txt', out)
