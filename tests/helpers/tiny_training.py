"""A real training that takes less than a second: a convolution with dropout on tiny PNG files."""
from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from PIL import Image
from torch import nn

import addp_mm.datasets  # noqa: F401
import addp_mm.engine  # noqa: F401
from addp_mm.registry import HOOKS, MODELS
from tests.helpers.tiny import tiny_addp_cfg

_numbers = itertools.count()


@MODELS.register_module()
class TinyModel(BaseModel):
    """Its loss depends on the images' order and augmentation, on dropout and on the weights."""

    def __init__(self, frozen: dict | None = None) -> None:
        super().__init__(dict(type='SelfSupDataPreprocessor', to_rgb=True))
        self.conv = nn.Conv2d(3, 4, 3)
        # Makes a checkpoint larger than any log of these runs.
        self.register_buffer('ballast', torch.zeros(100_000))
        self.frozen = None if frozen is None else _frozen(frozen)

    def forward(self, inputs: torch.Tensor, data_samples: list | None = None,
                mode: str = 'tensor') -> dict | list[dict]:
        if mode == 'predict':
            return [dict(brightness=float(image.float().mean())) for image in inputs]
        features = nn.functional.dropout(self.conv(inputs / 255), training=self.training)
        return dict(loss=features.square().mean())


@HOOKS.register_module()
class RecordLosses(Hook):
    """Keeps (iteration, loss, first draw of the next numbers) and can stop the run."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.losses: dict[int, float] = {}
        self.stop_at = stop_at

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        self.losses[runner.iter] = outputs['loss'].item()
        if runner.iter == self.stop_at:
            raise KeyboardInterrupt


def _frozen(config: dict) -> nn.Module:
    from addp_mm.models.layers import FrozenModule
    return FrozenModule(**config)


def write_images(folder: Path, count: int = 8) -> Path:
    """Write noise as ``folder/<number>.png``, 12 x 12 pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        pixels = rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index}.png')
    return folder


def make_config(work_dir: Path, images: Path) -> dict:
    """The arguments of a runner: 3 epochs of 4 batches of 2 images."""
    pipeline = [
        dict(type='SeedTransforms'),
        dict(type='LoadRobustImage'),
        dict(type='RandomResizedCrop', scale=8),
        dict(type='RandomFlip', prob=0.5),
        dict(type='PackInputs')
    ]
    return dict(
        work_dir=str(work_dir),
        default_scope='mmpretrain',
        experiment_name=f'tiny{next(_numbers)}',
        randomness=dict(seed=0),
        model=dict(type='TinyModel'),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
            dataset=dict(type='ImageFolder', data_root=str(images), pipeline=pipeline)),
        train_cfg=dict(by_epoch=True, max_epochs=3),
        optim_wrapper=dict(
            type='PortableAmpOptimWrapper',
            optimizer=dict(type='AdamW', lr=0.01),
            clip_grad=dict(max_norm=1.)),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=12, by_epoch=False),
        default_hooks=dict(
            checkpoint=dict(type='AtomicCheckpointHook', interval=1),
            sampler_seed=dict(type='DistSamplerSeedHook')),
        custom_hooks=[dict(type='SeedIterationHook'), dict(type='RecordLosses')])


def make_recipe(recipe: Path, folder: Path, **options: Any) -> Config:
    """A recipe of ADDP with a tiny model: 2 epochs over ``folder/images``, 2 images a process.

    Args:
        recipe: The config file.
        folder: Has the images, gets the weights of the frozen parts.
        **options: Further settings by their dotted names.
    """
    cfg = Config.fromfile(recipe)
    cfg.visualizer = None
    cfg.model = tiny_addp_cfg(folder)
    cfg.merge_from_dict({
        'train_dataloader.batch_size': 2,
        'train_dataloader.dataset.data_root': str(folder),
        'train_dataloader.dataset.data_prefix': 'images',
        'train_dataloader.dataset.pipeline.1.crop.scale': 32,
        'optim_wrapper.accumulative_counts': 2,
        'train_cfg.max_epochs': 2,
        'default_hooks.checkpoint.interval': 1,
        **options,
    })
    cfg.param_scheduler = cfg.param_scheduler[1:]       # a warm-up from 0 would hide differences
    return cfg


def hook_of(runner: Runner, name: str) -> Hook:
    """The runner's hook of a class."""
    return next(h for h in runner.hooks if type(h).__name__ == name)


def losses_of(config: dict, stop_at: int | None = None) -> dict[int, float]:
    """Train, and stop in an iteration as Ctrl-C does; the loss of each iteration."""
    runner = Runner(**config)
    recorder = hook_of(runner, 'RecordLosses')
    recorder.stop_at = stop_at
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop_at is not None
    # Ends persistent workers now; the garbage collector would wait 5 s for each of them.
    runner.train_dataloader._iterator = None
    return recorder.losses
