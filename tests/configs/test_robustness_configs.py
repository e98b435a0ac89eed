"""The robustness configs run with tools/test.py, on folders of the layout they expect."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from PIL import Image

import addp_mm  # noqa: F401  (registers)
from addp_mm.apis.train import build_runner
from addp_mm.datasets.class_subset_folder import class_list
from addp_mm.studies.robustness.report import records_of_predictions
from addp_mm.studies.robustness.robustness import part_pipeline, plan_parts

FOLDER = Path(__file__).resolve().parents[2] / 'configs' / 'addp' / 'benchmarks'
SUBSETS = {'imagenet-a': 'imagenet-a', 'imagenet-r': 'imagenet-r',
           'imagenet-sketch': 'imagenet-1k', 'imagenet-c': 'imagenet-1k',
           'imagenet-c_from-val': 'imagenet-1k'}
NUM_IMAGES = 3


@pytest.fixture
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """One image for each class of a data set, of which a few are read."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'one.jpg')
    for wnid in class_list(SUBSETS[request.param]):
        (tmp_path / 'data' / wnid).mkdir(parents=True)
        (tmp_path / 'data' / wnid / '0.JPEG').symlink_to(tmp_path / 'one.jpg')
    return tmp_path / 'data'


def load(name: str, images: Path, tmp_path: Path) -> Config:
    """The config, with a small classifier and the folder."""
    cfg = Config.fromfile(FOLDER / f'robustness_{name}.py')
    cfg.model = dict(
        type='ImageClassifier', data_preprocessor=cfg.model.data_preprocessor,
        backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=4, base_channels=4),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=1000, in_channels=32))
    cfg.test_dataloader.update(num_workers=0)
    cfg.test_dataloader.dataset.update(data_root=str(images), indices=NUM_IMAGES)
    cfg.work_dir = str(tmp_path / 'work')
    cfg.visualizer = None
    return cfg


@pytest.mark.parametrize('name, images', [(name, name) for name in SUBSETS], indirect=['images'])
def test_runs_and_its_predictions_can_be_scored(name: str, images: Path, tmp_path: Path):
    if name.endswith('from-val'):
        pytest.importorskip('imagecorruptions', reason='imagecorruptions-imaug is not installed')
    part = 'imagenet-c_gaussian_noise_1' if name.startswith('imagenet-c') else name
    runner = build_runner(load(name, images, tmp_path))
    (tmp_path / 'stored').mkdir()
    runner.test_evaluator.metrics.append(DumpResults(str(tmp_path / 'stored' / f'{part}.pkl')))
    metrics = runner.test()
    record = records_of_predictions(tmp_path / 'stored')[part]
    assert record['num_images'] == NUM_IMAGES
    assert record['top1'] == pytest.approx(metrics['accuracy/top1'])


def test_the_command_prepares_images_as_the_configs_do(tmp_path: Path):
    pytest.importorskip('imagecorruptions', reason='imagecorruptions-imaug is not installed')
    (tmp_path / 'ant').mkdir()
    part = plan_parts({'imagenet-val': tmp_path}, ['ant'])[0]
    own = Config.fromfile(FOLDER / 'finetune_vit-b_100e.py').test_dataloader.dataset.pipeline
    from_val = Config.fromfile(FOLDER / 'robustness_imagenet-c_from-val.py')
    wanted = from_val.test_dataloader.dataset.pipeline
    assert [dict(step) for step in part_pipeline(own, part)] == [dict(step) for step in wanted]
