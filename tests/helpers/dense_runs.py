"""The small detection and segmentation trainings of configs/digits, a few iterations long."""
from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from addp_mm.apis.stack import weighs_ignored_pixels
from addp_mm.datasets import write_digit_scenes
from addp_mm.models.addp import ADDPViT
from tests.helpers.tools import load_tool

needs_dense = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ('mmdet', 'mmseg', 'sklearn')),
    reason='needs mmdet and mmseg')
ROOT = Path(__file__).resolve().parents[2]
CONFIGS = dict(mmdet=ROOT / 'configs' / 'digits' / 'mask-rcnn.py',
               mmseg=ROOT / 'configs' / 'digits' / 'upernet.py')
ARCH = dict(embed_dims=96, num_layers=4, num_heads=4, feedforward_channels=384)


def prepare(folder: Path) -> None:
    """Write scenes, and a checkpoint of pre-training as configs/digits/addp.py makes it."""
    write_digit_scenes(folder / 'scenes', num_training=6, num_validation=3)
    encoder = ADDPViT(arch=ARCH, img_size=32, patch_size=8, pre_norm=False)
    encoder.init_weights()
    weights = {f'backbone.{name}': tensor for name, tensor in encoder.state_dict().items()}
    torch.save(dict(state_dict=weights, meta={}), folder / 'addp.pth')


def options(folder: Path, scope: str, *more: str) -> list[str]:
    """The words after ``--cfg-options`` for two iterations on the scenes of a folder."""
    loaders = [f'{part}_dataloader.dataset.data_root={folder}/scenes/'
               for part in ('train', 'val', 'test')]
    files = [f'{part}_evaluator.ann_file={folder}/scenes/coco/instances_validation.json'
             for part in ('val', 'test')] if scope == 'mmdet' else []
    if scope == 'mmseg' and not weighs_ignored_pixels():
        files = [f'model.{head}.loss_decode.class_weight=None'
                 for head in ('decode_head', 'auxiliary_head')]
    return [*loaders, *files, f'model.backbone.init_cfg.checkpoint={folder}/addp.pth',
            'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'train_dataloader.batch_size=2',
            'default_hooks.checkpoint.interval=2', *more]


def call(name: str, *words: object) -> None:
    """Call a tool's main function; what it raises is not caught."""
    load_tool(name).main([str(word) for word in words])
