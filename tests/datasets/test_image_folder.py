"""ImageFolder: images without labels, and one clear message where there are none."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
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


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """Three classes with 6, 5 and 4 images."""
    for label, count in enumerate((6, 5, 4)):
        (tmp_path / f'c{label}').mkdir()
        for index in range(count):
            Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / f'c{label}/{index}.png')
    return tmp_path


def labels_of(folder: Path, **options) -> tuple[list[str], list[int]]:
    dataset = ImageFolder(data_root=str(folder), with_label=True, **options)
    return ([info['img_path'] for info in map(dataset.get_data_info, range(len(dataset)))],
            dataset.get_gt_labels().tolist())


def test_a_few_labels_of_each_class_by_a_seed(labelled):
    paths, labels = labels_of(labelled, labels_per_class=3, num_classes=3)
    assert labels == [0] * 3 + [1] * 3 + [2] * 3
    assert len(set(paths)) == 9
    assert paths == labels_of(labelled, labels_per_class=3)[0]
    assert paths != labels_of(labelled, labels_per_class=3, labels_seed=1)[0]


def test_fewer_images_than_labels_asked_for(labelled):
    with pytest.raises(ValueError, match='Class 2 .* has 4 images, labels_per_class=5'):
        labels_of(labelled, labels_per_class=5)


def test_a_class_folder_is_missing(labelled):
    with pytest.raises(ValueError, match=r'each of 4 classes .* found 3 \(c0, c1, c2'):
        labels_of(labelled, num_classes=4)


def test_a_class_folder_is_empty(labelled):
    for path in (labelled / 'c1').iterdir():
        path.unlink()
    with pytest.raises(ValueError, match=r'1 labels do not fit, the first is 1 \(c1\)'):
        labels_of(labelled)


def test_a_class_is_missing_in_a_list(labelled):
    (labelled / 'list.txt').write_text('c0/0.png 0\nc2/0.png 2\n')
    with pytest.raises(ValueError, match='the first is 1'):
        labels_of(labelled, ann_file='list.txt', num_classes=3)


def test_a_list_with_labels_as_editors_store_it(labelled):
    text = '\r\nc0/0.png 0\r\n\r\nc1/a b.png 1\r\n \r\n'
    (labelled / 'list.txt').write_bytes(text.encode('utf-8-sig'))
    paths, labels = labels_of(labelled, ann_file='list.txt')
    assert [path.removeprefix(f'{labelled}/') for path in paths] == ['c0/0.png', 'c1/a b.png']
    assert labels == [0, 1]


@pytest.mark.parametrize('line', ['c0/0.png', 'c0/0.png one', '3'])
def test_a_line_without_a_label(labelled, line):
    (labelled / 'list.txt').write_text(f'c0/0.png 0\n{line}\n')
    with pytest.raises(ValueError, match=f"list.txt has the line '{line}', expected the name of"):
        labels_of(labelled, ann_file='list.txt')


def test_names_of_the_folders_in_another_order(labelled):
    with pytest.raises(ValueError, match=r"calls the folder 'c0' of .* 'c2', .*\(c0, c1, c2\)"):
        labels_of(labelled, metainfo=dict(classes=['c2', 'c1', 'c0']))


def test_other_names_than_those_of_the_folders(labelled, caplog):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    for classes in (['cat', 'dog', 'cow'], ['c0', 'c1', 'c2']):
        assert labels_of(labelled, metainfo=dict(classes=classes))[1][0] == 0
    assert not caplog.records
    assert labels_of(labelled, metainfo=dict(classes=['c1', 'c2', 'c3']))[1][0] == 0
    assert "calls the folder 'c0'" in caplog.text and 'Make sure' in caplog.text


@pytest.mark.parametrize('options, message', [
    (dict(with_label=False, num_classes=3), 'need labels'),
    (dict(with_label=True, labels_per_class=0), 'at least 1, got 0')])
def test_options_that_do_not_fit(labelled, options, message):
    with pytest.raises(ValueError, match=message):
        ImageFolder(data_root=str(labelled), **options)


def test_imagenet_needs_its_1000_folders(labelled):
    with pytest.raises(ValueError, match='each of 1000 classes .* found 3'):
        DATASETS.build(dict(type='ImageNetFolder', data_root=str(labelled)))
