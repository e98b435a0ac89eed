"""write_digit_scenes: two kinds of labels that agree, no leak from training to validation."""
from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.datasets import DIGIT_CLASSES, SCENE_CLASSES, digit_scenes, write_digit_scenes
from addp_mm.datasets.digit_scenes import encode_mask

pytest.importorskip('sklearn', reason='the digits and photographs come with scikit-learn')
SIZE, NUM_TRAINING, NUM_VALIDATION = 96, 12, 4


@pytest.fixture(scope='module')
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('digits') / 'scenes'
    return write_digit_scenes(folder, SIZE, NUM_TRAINING, NUM_VALIDATION, seed=3)


def decode(code: dict) -> np.ndarray:
    """The other direction of ``encode_mask``, written anew."""
    values = np.repeat(np.arange(len(code['counts'])) % 2, code['counts'])
    return values.reshape(code['size'][::-1]).T.astype(bool)


def labels_of(scenes: Path, part: str) -> tuple[dict, list[np.ndarray]]:
    coco = json.loads((scenes / 'coco' / f'instances_{part}.json').read_text())
    maps = [np.asarray(Image.open(scenes / 'annotations' / part / f'{i:05d}.png'))
            for i in range(len(coco['images']))]
    return coco, maps


@pytest.mark.parametrize('part, count', [('training', NUM_TRAINING),
                                         ('validation', NUM_VALIDATION)])
def test_both_kinds_of_labels_agree(scenes, part, count):
    coco, maps = labels_of(scenes, part)
    assert len(coco['images']) == count
    assert [c['name'] for c in coco['categories']] == list(DIGIT_CLASSES) == list(SCENE_CLASSES[1:])
    covered = [np.zeros((SIZE, SIZE), int) for _ in maps]
    for annotation in coco['annotations']:
        mask = decode(annotation['segmentation'])
        assert (maps[annotation['image_id']][mask] == annotation['category_id'] + 1).all()
        covered[annotation['image_id']] += mask
        x, y, width, height = annotation['bbox']
        assert mask.sum() == annotation['area'] == mask[y:y + height, x:x + width].sum() > 0
        assert mask[y].any() and mask[:, x].any()
        assert mask[y + height - 1].any() and mask[:, x + width - 1].any()
    for segmentation, count in zip(maps, covered, strict=True):
        assert set(np.unique(segmentation)) <= set(range(len(SCENE_CLASSES) + 1))
        assert ((segmentation > 1) == (count == 1)).all() and count.max() == 1
        assert (segmentation == 0).any() and (segmentation == 1).mean() > 0.3


def test_labels_are_those_of_the_pictures(scenes):
    coco, _ = labels_of(scenes, 'training')
    inside, around = [], []
    for annotation in coco['annotations']:
        image = np.asarray(Image.open(
            scenes / 'images' / 'training' / coco['images'][annotation['image_id']]['file_name']))
        assert image.shape == (SIZE, SIZE, 3)
        mask = decode(annotation['segmentation'])
        inside.append(image[mask].mean())
        around.append(np.median(image))
    assert np.mean(inside) > np.mean(around) + 50       # ink is bright


def test_run_length_code_is_that_of_pycocotools():
    coco = pytest.importorskip('pycocotools.mask', reason='needs pycocotools')
    for mask in np.random.default_rng(0).random((3, 7, 5)) > np.array([0.4, -1, 2])[:, None, None]:
        code = encode_mask(mask)
        assert (coco.decode(coco.frPyObjects(code, 7, 5)) == mask).all()
        assert (decode(code) == mask).all()


def test_parts_share_no_digit_and_no_photograph():
    seen = {}
    for part in ('training', 'validation'):
        ink, labels = digit_scenes.load_digits()
        indices = digit_scenes.split_digits(labels)['train' if part == 'training' else 'val']
        regions = digit_scenes._photographs(digit_scenes._REGIONS[part])
        seen[part] = set(indices), [region.shape[1] for region in regions]
    assert not seen['training'][0] & seen['validation'][0]
    assert [sum(widths) for widths in zip(seen['training'][1], seen['validation'][1],
                                          strict=True)] == [640, 640]


def test_same_seed_same_scenes(tmp_path, scenes):
    again = write_digit_scenes(tmp_path / 'again', SIZE, NUM_TRAINING, NUM_VALIDATION, seed=3)
    other = write_digit_scenes(tmp_path / 'other', SIZE, NUM_TRAINING, NUM_VALIDATION, seed=4)
    for name in ('images/training/00003.jpg', 'annotations/validation/00001.png',
                 'coco/instances_training.json'):
        first = (scenes / name).read_bytes()
        assert (again / name).read_bytes() == first != (other / name).read_bytes()


def test_complete_scenes_are_left_alone(scenes):
    path = scenes / 'images' / 'training' / '00000.jpg'
    before = path.stat().st_mtime_ns
    write_digit_scenes(scenes, SIZE, NUM_TRAINING, NUM_VALIDATION, seed=3)
    assert path.stat().st_mtime_ns == before


def test_nothing_else_is_overwritten(tmp_path, scenes):
    with pytest.raises(ValueError, match='holds scenes with other settings'):
        write_digit_scenes(scenes, SIZE, NUM_TRAINING + 1, NUM_VALIDATION, seed=3)
    (tmp_path / 'photo.jpg').write_bytes(b'mine')
    with pytest.raises(ValueError, match='holds something else'):
        write_digit_scenes(tmp_path, SIZE, 1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ['photo.jpg']


def test_interrupted_writing_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(digit_scenes, 'describe_mask', lambda mask: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_digit_scenes(tmp_path / 'scenes', SIZE, 2, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('arguments', [(63, 1, 1), (96, 0, 1), (96, 1, 0)])
def test_too_small_is_refused(tmp_path, arguments):
    with pytest.raises(ValueError, match='at least 64 and at least one scene'):
        write_digit_scenes(tmp_path / 'scenes', *arguments)
