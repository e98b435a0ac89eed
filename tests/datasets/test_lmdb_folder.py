"""A database has the images of its folder, in the same order, for data sets as they are."""
from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from mmengine import fileio
from torch.utils.data import DataLoader

from addp_mm.datasets import ClassSubsetFolder, ImageFolder
from addp_mm.datasets.lmdb_folder import count, pack, source_note
from tests.helpers.tiny_training import write_images
from tests.helpers.tools import run_tool

pytest.importorskip('lmdb')
PIPELINE = [dict(type='LoadRobustImage'), dict(type='PackInputs')]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two classes, with a folder in one of them and names beyond ASCII."""
    for folder in ('b', 'a/é', 'a/é-1', 'a'):
        write_images(tmp_path / 'images' / folder, count=2)
    (tmp_path / 'images/notes.txt').write_text('no image')
    return tmp_path / 'images'


@pytest.fixture
def packed(images: Path, capsys: pytest.CaptureFixture) -> str:
    """What the tool has written; it says how to use it."""
    path = images.with_name('packed.lmdb')
    assert run_tool('pack_images', images, path) == 0
    out = capsys.readouterr().out
    assert '8 images' in out and f'data_root=lmdb://{path} ' in out
    assert [found.name for found in path.parent.iterdir() if 'packed' in found.name] == [path.name]
    return f'lmdb://{path}'


@pytest.mark.parametrize('with_label', [False, True])
def test_images_and_order_are_those_of_the_folder(images: Path, packed: str,
                                                  with_label: bool) -> None:
    options = dict(with_label=with_label, pipeline=PIPELINE)
    folder, database = (ImageFolder(data_root=root, **options) for root in (str(images), packed))
    assert len(database) == 8 and database.metainfo == folder.metainfo
    for ours, theirs in zip(database, folder, strict=True):
        assert torch.equal(ours['inputs'], theirs['inputs'])
        assert ours['data_samples'].img_path == theirs['data_samples'].img_path.replace(
            str(images), packed)
        assert ours['data_samples'].get('gt_label') == theirs['data_samples'].get('gt_label')


def test_workers_read_what_their_parent_has_listed(images: Path, packed: str) -> None:
    found = []
    for root in (str(images), packed):
        dataset = ImageFolder(data_root=root, pipeline=PIPELINE)
        loader = DataLoader(dataset, num_workers=1, collate_fn=lambda batch: batch[0]['inputs'],
                            multiprocessing_context='fork')
        found.append(torch.stack(list(loader)))
    assert torch.equal(*found)


def test_class_subsets_are_read_as_well(packed: str) -> None:
    dataset = ClassSubsetFolder(data_root=packed, subset=('a', 'b'), class_names=('b', 'x', 'a'))
    assert dataset.get_gt_labels().tolist() == [2] * 6 + [0] * 2


@pytest.fixture
def partial(images: Path) -> Path:
    """What the tool leaves behind where it is stopped after three images."""
    partial = images.with_name('.packed.lmdb.partial')
    names = ImageFolder(data_root=str(images)).data_list
    for _ in pack(images, map(names.name, range(3)), partial):
        pass
    assert count(partial) == 3
    return partial


def first_image(images: Path) -> Path:
    return images / ImageFolder(data_root=str(images)).data_list.name(0)


def test_stopped_tool_goes_on(images: Path, partial: Path) -> None:
    first = first_image(images)
    size = first.stat().st_size
    first.write_bytes(b'is not read again'.ljust(size))
    later = os.stat(first).st_ctime + 10
    os.utime(source_note(partial), (later, later))      # as if the file were older
    assert run_tool('pack_images', images, images.with_name('packed.lmdb')) == 0
    path = f'lmdb://{images.with_name("packed.lmdb")}/{first.relative_to(images)}'
    assert fileio.get(path).startswith(b'\x89PNG')


@pytest.mark.parametrize('length', [10, None])
def test_replaced_image_is_refused(images: Path, partial: Path, length: int | None,
                                   capsys: pytest.CaptureFixture) -> None:
    first = first_image(images)
    first.write_bytes(b'x' * (length or first.stat().st_size))
    os.utime(first, (0, 0))         # as `cp -p` leaves it
    assert run_tool('pack_images', images, images.with_name('packed.lmdb')) == 2
    assert f'{first} was replaced after it had been written: remove {partial}' in (
        capsys.readouterr().err)


def test_begun_with_another_folder_is_refused(images: Path, partial: Path,
                                              capsys: pytest.CaptureFixture) -> None:
    images.rename(images.with_name('others'))
    write_images(images / 'b', count=2)
    assert run_tool('pack_images', images.with_name('others'), images.with_name('packed.lmdb')) == 2
    assert f'was begun with {images}, now {images.with_name("others")}: remove it' in (
        capsys.readouterr().err)


def test_begun_with_other_images_is_refused(images: Path, capsys: pytest.CaptureFixture) -> None:
    for _ in pack(images, ['notes.txt'], images.with_name('.packed.lmdb.partial')):
        pass
    assert run_tool('pack_images', images, images.with_name('packed.lmdb')) == 2
    assert '9 files, the folder 8 images: it was begun with others' in capsys.readouterr().err


@pytest.mark.parametrize('data_root, message', [
    ('lmdb://missing.lmdb', 'folder of images at lmdb://missing.lmdb'),
    ('{packed}/c', 'folder of images at lmdb://.*packed.lmdb/c'),
    ('lmdb://missing', r'Expected lmdb://FILE\.lmdb'),
])
def test_missing_database_is_named(packed: str, data_root: str, message: str) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        ImageFolder(data_root=data_root.format(packed=packed))


@pytest.mark.parametrize('name, message', [('a', 'must end in .lmdb'), ('x.lmdb', 'there already')])
def test_wrong_target_is_named(images: Path, capsys: pytest.CaptureFixture, name: str,
                               message: str) -> None:
    (images / 'x.lmdb').touch()
    assert run_tool('pack_images', images, images / name) == 2
    assert message in capsys.readouterr().err


def test_too_long_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='name of 604 bytes, LMDB takes at most 511'):
        list(pack(tmp_path, [f'{"x" * 200}/' * 3 + 'a'], tmp_path / 'packed.lmdb'))
