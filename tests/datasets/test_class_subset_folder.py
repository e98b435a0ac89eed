"""ClassSubsetFolder: labels in the order of all classes, and no folder too few or too many."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
from PIL import Image

import addp_mm.datasets  # noqa: F401  (registers)
from addp_mm.datasets.class_subset_folder import class_list
from addp_mm.registry import DATASETS

NAMES = ['ant', 'bee', 'cow', 'dog']


def make(root: Path, classes: list[str] | tuple[str, ...]) -> Path:
    """A folder for each class, with one file; only its name is read."""
    for name in classes:
        (root / name).mkdir(parents=True)
        (root / name / 'first.JPEG').touch()
    (root / 'README.txt').touch()
    return root


def build(root: Path, subset: str | list[str] | None, **settings):
    return DATASETS.build(dict(type='ClassSubsetFolder', data_root=str(root), subset=subset,
                               test_mode=True, **settings))


@pytest.mark.parametrize('subset', ['imagenet-a', 'imagenet-r', 'imagenet-1k'])
def test_labels_are_places_among_the_1000(subset: str, tmp_path: Path):
    dataset = build(make(tmp_path, class_list(subset)), subset)
    expected = [class_list('imagenet-1k').index(wnid) for wnid in class_list(subset)]
    assert dataset.get_gt_labels().tolist() == expected
    assert dataset.metainfo['class_indices'] == tuple(expected)
    assert len(dataset.metainfo['classes']) == 1000
    first = dataset.get_data_info(0)
    assert Path(first['img_path']).parent.name == class_list(subset)[0]


def test_own_classes_and_any_of_them(tmp_path: Path):
    root = make(tmp_path, ['dog', 'bee'])
    dataset = build(root, None, class_names=NAMES)
    assert dataset.metainfo['class_indices'] == (1, 3)
    assert dataset.get_gt_labels().tolist() == [1, 3]
    assert build(root, ['dog', 'bee'], class_names=NAMES).get_gt_labels().tolist() == [1, 3]


def test_gives_images_to_a_pipeline(tmp_path: Path):
    root = make(tmp_path, ['cow'])
    Image.fromarray(np.full((5, 7, 3), 9, np.uint8)).save(root / 'cow' / 'first.JPEG')
    dataset = build(root, None, class_names=NAMES,
                    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')])
    assert dataset[0]['inputs'].shape == (3, 5, 7)
    assert dataset[0]['data_samples'].gt_label.tolist() == [2]


def test_missing_and_foreign_folders(tmp_path: Path):
    wnids = class_list('imagenet-a')
    root = make(tmp_path, [*wnids[1:], 'other'])
    with pytest.raises(ValueError, match='200 folders in .* do not match the classes of imagenet-a,'
                       rf'.*200: 1 are missing \({wnids[0]}\), 1 are of no such class \(other\)'):
        build(root, 'imagenet-a')


def test_the_folders_of_another_subset(tmp_path: Path):
    root = make(tmp_path, class_list('imagenet-r'))
    with pytest.raises(ValueError, match='do not match the classes of imagenet-a'):
        build(root, 'imagenet-a')
    with pytest.raises(ValueError, match='1000: 800 are missing'):
        build(root, 'imagenet-1k')


def test_own_classes_refuse_a_foreign_folder(tmp_path: Path):
    with pytest.raises(ValueError, match=r'do not match the known classes.*\(emu\)'):
        build(make(tmp_path, ['bee', 'emu']), None, class_names=NAMES)


def test_a_subset_of_another_classifier(tmp_path: Path):
    root = make(tmp_path, class_list('imagenet-a'))
    with pytest.raises(ValueError, match='classifier has 4 classes'):
        build(root, 'imagenet-a', class_names=NAMES)


def test_empty_folders(tmp_path: Path):
    root = make(tmp_path, ['bee', 'dog'])
    (root / 'dog' / 'first.JPEG').unlink()
    with pytest.raises(ValueError, match='No images in 1 of 2 class folders of .*: dog'):
        build(root, None, class_names=NAMES)
    (root / 'bee' / 'first.JPEG').unlink()
    with pytest.raises(ValueError, match='Expected images in'):
        build(root, None, class_names=NAMES)
    with pytest.raises(FileNotFoundError, match='nowhere'):
        build(tmp_path / 'nowhere', None, class_names=NAMES)


TIMM = Path(timm.__file__).parent / 'data' / '_info'


@pytest.mark.parametrize('name', ['imagenet-a', 'imagenet-r'])
def test_subsets_are_timms_indices_in_order(name: str):
    everything, subset = class_list('imagenet-1k'), class_list(name)
    indices = [int(line) for line in
               (TIMM / f'{name.replace("-", "_")}_indices.txt').read_text().split()]
    assert [everything.index(wnid) for wnid in subset] == indices
    assert len(indices) == 200 and indices == sorted(indices)
    # From the published data sets: the first and last classes.
    assert (indices[:3], indices[-1]) == (
        ([6, 11, 13], 988) if name == 'imagenet-a' else ([1, 2, 4], 988))


def test_folders_in_alphabetical_order_are_in_the_classifiers_order():
    assert len(class_list('imagenet-1k')) == 1000
    for name in ('imagenet-1k', 'imagenet-a', 'imagenet-r'):
        assert list(class_list(name)) == sorted(class_list(name))


def test_unknown_list():
    with pytest.raises(ValueError, match="'imagenet-b', expected one of .*imagenet-a"):
        class_list('imagenet-b')
