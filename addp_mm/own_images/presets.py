"""Sizes of the stages for images of one's own, and the memory they take."""
from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import nn

from ..registry import MODELS

GIGABYTE = 1e9
# Of the memory at hand; the rest is for the system, fragmentation and the data loader.
USABLE_SHARE = 0.7
# Python, torch and the libraries.
PROCESS_BYTES = 0.8 * GIGABYTE
# Weight, gradient and the two averages of Adam, in float32.
BYTES_PER_TRAINED, BYTES_PER_FROZEN = 16, 4
# Values that autograd keeps, counted with torch.autograd.graph.saved_tensors_hooks: of a VQGAN for
# each place and channel of the finest resolution, and of each residual block; of a transformer for
# each layer and entry of its tokens.
VQGAN_VALUES, VQGAN_VALUES_PER_BLOCK = 8, 12
TRANSFORMER_VALUES = 52


@dataclass(frozen=True)
class Preset:
    """Sizes of the stages.

    Attributes:
        configs: The stages in order, and the config that each starts from, below ``configs/``.
        image_size: Side of the crops in pixels, unless the user names another.
        max_batch: Largest batch of each stage, whatever the memory.
        min_batch: A batch that the training needs; it does not fit where less memory is at hand.
        lr: Learning rate of each stage.
        minutes: Duration of all stages together, unless the user names another.
        shares: How they divide it: the tokenizer limits what the others can show, but learns fast.
        changes: What is changed in a stage's config.
    """

    configs: Mapping[str, str]
    image_size: int
    max_batch: Mapping[str, int]
    min_batch: int
    lr: Mapping[str, float]
    minutes: float
    shares: Mapping[str, float]
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


# All numbers here are our choice. The recipes' rates are for thousands of images per step; a single
# machine has some dozens.
_TOKENIZER = 'model.tokenizer.'
# New start values learn several times as fast with these as with those of the release.
FAST_TOKENIZER = {_TOKENIZER + 'norm': dict(type='timm.layers.LayerNorm2d'),
                  _TOKENIZER + 'shortcut': 'input'}
_SHARES = dict(vqgan=0.25, mage=0.35, addp=0.4)
PRESETS = {
    # A CPU, for a first look: some million parameters. Its encoder learns what stands where from
    # hidden patches first: docs/benchmarks/dense_study.md.
    'small': Preset(
        configs={name: f'nuclei/{name}_nuclei-64.py' for name in ('vqgan', 'mage', 'mae', 'addp')},
        image_size=64,
        max_batch=dict(vqgan=32, mage=64, mae=64, addp=64),
        min_batch=8,
        lr=dict(vqgan=2e-3, mage=2e-3, mae=2e-3, addp=2e-3),
        minutes=15,
        shares=dict(vqgan=0.22, mage=0.33, mae=0.23, addp=0.22)),
    'base': Preset(  # the sizes of the release: VQGAN, MAGE-B and ViT-B
        configs=dict(vqgan='vqgan/vqgan_256.py', mage='mage/mage_vit-b_1600e.py',
                     addp='addp/vit-b_1600e.py'),
        image_size=256,
        max_batch=dict(vqgan=32, mage=256, addp=128),
        min_batch=8,
        lr=dict(vqgan=1e-4, mage=3e-4, addp=3e-4),
        minutes=24 * 60,
        shares=_SHARES,
        changes=dict(vqgan=FAST_TOKENIZER)),
    'large': Preset(  # VQGAN, MAGE-L and ViT-L
        configs=dict(vqgan='vqgan/vqgan_256.py', mage='mage/mage_vit-l_1600e.py',
                     addp='addp/vit-l_800e.py'),
        image_size=256,
        max_batch=dict(vqgan=32, mage=128, addp=64),
        min_batch=16,
        lr=dict(vqgan=1e-4, mage=2e-4, addp=2e-4),
        minutes=72 * 60,
        shares=_SHARES,
        changes=dict(vqgan=FAST_TOKENIZER)),
}


def memory_at_hand() -> tuple[float, str]:
    """Free bytes of the first GPU, without one of the main memory, and the name of either."""
    if torch.cuda.is_available():
        return float(torch.cuda.mem_get_info(0)[0]), torch.cuda.get_device_name(0)
    available = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_AVPHYS_PAGES')
    meminfo = Path('/proc/meminfo')
    if meminfo.is_file():  # with what the system keeps only for speed
        fields = dict(line.split(':') for line in meminfo.read_text().splitlines())
        available = 1024 * int(fields['MemAvailable'].split()[0])
    limit = Path('/sys/fs/cgroup/memory.max')  # of a container
    if limit.is_file() and (text := limit.read_text().strip()).isdigit():
        available = min(available, int(text))
    return float(available), 'CPU'


@dataclass(frozen=True)
class MemoryNeed:
    """About how much memory a stage takes.

    Attributes:
        fixed: Bytes that do not depend on the batch.
        per_image: Bytes for each image of the batch.
    """

    fixed: float
    per_image: float

    def at(self, batch: int) -> float:
        """Bytes with ``batch`` images."""
        return self.fixed + batch * self.per_image

    def largest_batch(self, memory: float, max_batch: int) -> int:
        """``max_batch`` or its half, its quarter... that fits into the usable share of memory.

        Returns:
            The batch; 0 if not even one image fits.
        """
        batch = max_batch
        while batch and self.at(batch) > USABLE_SHARE * memory:
            batch //= 2
        return batch


def memory_need(cfg: Config) -> MemoryNeed:
    """Estimate the memory of a stage.

    16 bytes for each trained parameter, 4 for each frozen one, and for each image of the batch the
    values that the backward pass needs, of 4 bytes each, 3 on average under autocast.
    """
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    frozen = [part.description for part in model.modules() if hasattr(part, 'description')]
    trained = sum(p.numel() for p in model.parameters())
    held = sum(p.numel() for part in frozen for p in part.parameters())
    text = str(cfg.optim_wrapper)
    bytes_per_value = 3. if 'Amp' in text and 'float32' not in text else 4.
    return MemoryNeed(
        fixed=PROCESS_BYTES + BYTES_PER_TRAINED * trained + BYTES_PER_FROZEN * held,
        per_image=bytes_per_value * (_values(model) + _frozen_values(frozen)))


def _values(model: nn.Module) -> float:
    """Values that the backward pass of one image needs."""
    if hasattr(model, 'tokenizer'):  # VQGANTraining; a discriminator reads two images
        return _vqgan_values(model.tokenizer) * (1 if model.discriminator is None else 1.25)
    parts = [part for part in (getattr(model, name, None)
                               for name in ('token_predictor', 'backbone', 'neck')) if part]
    if hasattr(model.data_preprocessor, 'grid_size'):
        places = 1 + math.prod(model.data_preprocessor.grid_size)
    else:       # a masked autoencoder: its decoder sees all patches
        places = 1 + model.neck.num_patches
    return sum(TRANSFORMER_VALUES * places * layer.embed_dims
               for part in parts for layer in part.modules() if hasattr(layer, 'ffn'))


def _vqgan_values(tokenizer: nn.Module) -> float:
    height, width = tokenizer.image_size
    places = height * width / tokenizer.encoder.patch_size**2
    levels = [(len(level.block), level.block[-1].conv2.out_channels / 4**i)
              for i, level in enumerate(tokenizer.encoder.down)]
    blocks = sum(count * size for count, size in levels) + 2 * levels[-1][1]    # the middle has 2
    channels = tokenizer.decoder.conv_out.in_channels
    return places * (VQGAN_VALUES * channels + VQGAN_VALUES_PER_BLOCK * blocks)


def _frozen_values(frozen: list[nn.Module]) -> float:
    """What a frozen tokenizer needs for one image at a time of its pass: a few feature maps."""
    return sum(_vqgan_values(part) / 8 for part in frozen if hasattr(part, 'decoder'))
