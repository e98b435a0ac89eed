"""Numbers of recipes that once were others than they say."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize('name', ['linear_mage-b_90e', 'linear_mage-l_90e'])
def test_mage_probes_with_its_own_crops(name: str) -> None:
    cfg = Config.fromfile(CONFIGS / 'mage' / 'benchmarks' / f'{name}.py')
    assert cfg.train_dataloader.dataset.pipeline[1].crop.crop_ratio_range == (0.2, 1.0)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        assert loader.dataset.pipeline[1].scale == 292
        assert loader.dataset.pipeline[2].crop_size == 256


def test_the_r50_detector_learns_its_batch_statistics() -> None:
    cfg = Config.fromfile(CONFIGS / 'mmdet' / 'mask-rcnn_r50-fpn_100e.py')
    assert cfg.model.backbone.norm_eval is False


@pytest.mark.parametrize('name', ['mask-rcnn_vitdet-b_100e', 'mask-rcnn_vitdet-l_d2-100e',
                                  'mask-rcnn_r50-fpn_100e'])
def test_boxes_are_computed_in_float32(name: str) -> None:
    cfg = Config.fromfile(CONFIGS / 'mmdet' / f'{name}.py')
    assert {'rpn_head', 'roi_head.bbox_head'} <= set(cfg.optim_wrapper.full_precision)


@pytest.mark.parametrize('name', ['generation', 'long/generation_long'])
def test_the_sampler_stands_in_the_training_config(name: str) -> None:
    cfg = Config.fromfile(CONFIGS / 'digits' / f'{name}.py')
    training = Config.fromfile(CONFIGS / 'digits' / f'{name.replace("generation", "addp")}.py')
    assert cfg.model.sampler == training.model.sampler and cfg.model.sampler.num_steps == 16
    assert 'sampler' not in cfg.test_cfg
