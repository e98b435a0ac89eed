"""ImageList: the images that mmpretrain's own data set finds, in the same order, in less memory."""
from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from mmengine.fileio import get_file_backend
from mmpretrain.datasets import CustomDataset

from addp_mm.datasets import ImageFolder
from addp_mm.datasets.image_list import ImageList, files_below

# Names that sort otherwise as paths than folder by folder, and such as are no images.
NAMES = ('a/b/1.jpg', 'a/b-1/2.jpg', 'a/b.jpg', 'a/b0/3.png', 'a-b/4.jpg', 'a/.hidden/5.jpg',
         'a/._6.jpg', 'a/notes.txt', 'a b/ü.JPG', 'c/\udce9.png', 'c/10.png', 'c/9.png')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / 'images/linked').symlink_to(tmp_path / 'images/a')
    return tmp_path / 'images'


def infos(dataset: CustomDataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


@pytest.mark.parametrize('with_label', [False, True])
def test_images_and_order_are_those_of_mmpretrain(folder: Path, with_label: bool) -> None:
    options = dict(data_root=str(folder), with_label=with_label)
    ours, theirs = ImageFolder(**options), CustomDataset(**options)
    assert len(ours) == 15 and infos(ours) == infos(theirs)
    assert ours.metainfo == theirs.metainfo
    if with_label:
        assert ours.folder_to_idx == theirs.folder_to_idx
        assert ours.get_gt_labels().tolist() == theirs.get_gt_labels().tolist()


@pytest.mark.parametrize('with_label', [False, True])
def test_list_of_files_gives_what_mmpretrain_reads(folder: Path, with_label: bool) -> None:
    lines = ['a/b/1.jpg', f'{folder}/a/b.jpg', 'a b/ü.JPG']
    text = '\r\n'.join(f'{line} {i}' if with_label else line for i, line in enumerate(lines))
    (folder / 'list.txt').write_text(text)
    options = dict(data_root=str(folder), ann_file='list.txt', with_label=with_label)
    found = infos(ImageFolder(**options))
    assert len(found) == 3 and found == infos(CustomDataset(**options))


def test_subsets_copies_and_pickles_hold_the_same_images(folder: Path) -> None:
    dataset = ImageFolder(data_root=str(folder), with_label=True)
    assert infos(dataset.get_subset([3, 5])) == [
        dict(dataset.get_data_info(i), sample_idx=n) for n, i in enumerate((3, 5))]
    assert len(dataset.get_subset(4)) == 4
    for twin in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert infos(twin) == infos(dataset)


def test_sequence() -> None:
    images = ImageList('/x', [('a.png', 3), ('é/b.png', 1)])
    assert list(images) == [dict(img_path='/x/a.png', gt_label=3),
                            dict(img_path='/x/é/b.png', gt_label=1)]
    assert images[-1] == images[1:][0] and images[:-1] == [images[0]]
    assert list(images.take([1])) == [images[1]]
    assert len(ImageList('/x', [])) == 0
    with pytest.raises(IndexError):
        images[2]


def test_more_images_than_are_taken_up_at_a_time() -> None:
    names = [f'{i:06d}.png' for i in range(70_000)]
    images = ImageList('/x', ((name, None) for name in names))
    assert len(images) == 70_000
    assert [images.name(i) for i in (0, 65_535, 65_536, -1)] == [
        names[i] for i in (0, 65_535, 65_536, -1)]


def test_files_below_are_in_the_order_of_their_names(folder: Path) -> None:
    found = list(files_below(get_file_backend(str(folder)), str(folder)))
    assert found == sorted(found) and 'a/notes.txt' in found and 'linked/b/1.jpg' in found
