"""ImageFolder: images without labels, and one clear message where there are none."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.datasets import ImageFolder
from addp_mm.registry import DATASETS


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ('train/b/2.PNG', 'train/a/1.jpeg', 'train/0.webp', 'train/notes.txt'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == '.txt':
            path.write_text('no image')
        else:
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path)
    return tmp_path


def names(dataset: ImageFolder) -> list[str]:
    return [Path(dataset.get_data_info(i)['img_path']).name for i in range(len(dataset))]


def test_all_images_below_the_folder_without_labels(images):
    dataset = DATASETS.build(dict(type='ImageFolder', data_root=str(images), data_prefix='train'))
    assert isinstance(dataset, ImageFolder)
    assert sorted(names(dataset)) == ['0.webp', '1.jpeg', '2.PNG']
    assert 'gt_label' not in dataset.get_data_info(0)


def test_folders_can_be_labels(images):
    dataset = ImageFolder(data_root=str(images / 'train'), with_label=True)
    assert names(dataset) == ['1.jpeg', '2.PNG']
    assert dataset.get_data_info(1)['gt_label'] == 1


def test_list_of_files(images):
    (images / 'list.txt').write_text('a/1.jpeg\nb/2.PNG\n')
    dataset = ImageFolder(data_root=str(images), data_prefix='train', ann_file='list.txt')
    assert names(dataset) == ['1.jpeg', '2.PNG']


def test_missing_folder_is_named(images):
    with pytest.raises(FileNotFoundError, match=r'folder of images at .*/val, there is none\. '
                                                r'Set data_root and data_prefix'):
        ImageFolder(data_root=str(images), data_prefix='val')


def test_missing_folder_below_the_working_folder_is_named_with_it(images, monkeypatch):
    monkeypatch.chdir(images)
    with pytest.raises(FileNotFoundError, match=f'nowhere.*working folder {images}'):
        ImageFolder(data_root='nowhere')


def test_missing_list_is_named(images):
    with pytest.raises(FileNotFoundError, match=r'list of images at .*/missing\.txt'):
        ImageFolder(data_root=str(images), data_prefix='train', ann_file='missing.txt')


@pytest.mark.parametrize('with_label', [False, True])
def test_empty_folder_is_named_with_the_endings(images, with_label):
    (images / 'empty').mkdir()
    with pytest.raises(ValueError, match=r'images in .*/empty, found none\..*\.jpeg'):
        ImageFolder(data_root=str(images), data_prefix='empty', with_label=with_label)


def test_empty_list_is_named(images):
    (images / 'list.txt').write_text('')
    with pytest.raises(ValueError, match=r'images in .*/list\.txt, found none'):
        ImageFolder(data_root=str(images), data_prefix='train', ann_file='list.txt')
