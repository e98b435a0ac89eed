"""Sizes of the three stages for images of one's own, and the memory they take."""
from __future__ import annotations

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
    """Sizes of the three stages.

    Attributes:
        configs: The config that each stage starts from, below ``configs/``.
        image_size: Side of the crops in pixels, unless the user names another.
        max_batch: Largest batch of each stage, whatever the memory.
        min_batch: A batch that the training needs; it does not fit where less memory is at hand.
        lr: Learning rate of each stage.
        minutes: Duration of all stages together, unless the user names another.
        changes: What is changed in a stage's config.
    """

    configs: Mapping[str, str]
    image_size: int
    max_batch: Mapping[str, int]
    min_batch: int
    lr: Mapping[str, float]
    minutes: float
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


# All numbers here are our choice. The recipes' rates are for thousands of images per step; a single
# machine has some dozens.
_TOKENIZER = 'model.tokenizer.'
# New start values learn several times as fast with these as with those of the release.
FAST_TOKENIZER = {_TOKENIZER + 'norm': dict(type='timm.layers.LayerNorm2d'),
                  _TOKENIZER + 'shortcut': 'input'}
# The paper's ratios, at least 0.5, end where half of the tokens are known: the sampler's late steps
# on a small grid would never be trained.
ALL_RATIOS = {'model.data_preprocessor.diffusion.mask_ratio': dict(
    type='MaskRatioDistribution', min_ratio=0.02, std=0.3)}
# At a small size the encoder learns little of the places in a picture from the paper's loss alone,
# and `pre_norm` takes the brightness of a patch away: docs/benchmarks/dense_study.md.
LEARN_PIXELS = {
    'model.pixel_head': dict(
        type='MaskedPixelHead', mask_ratio=0.5, repeats=2, norm_pix=False, loss_weight=10.),
    'model.backbone.pre_norm': False,
    'model.backbone.drop_rate': 0.,
    'model.neck.drop_rate': 0.,
    'model.data_preprocessor.diffusion.per_image': True,
}
# Where most of an image is background, the surest and likeliest tokens are background: with the
# sampler of the digits, which keeps those first, all samples would be empty.
ANY_ORDER = {'model.sampler.temperature': 4., 'model.sampler.top_p': 1.}
PRESETS = {
    'small': Preset(  # a CPU, for a first look: some million parameters
        configs={name: f'digits/{name}.py' for name in ('vqgan', 'mage', 'addp')},
        image_size=64,
        max_batch=dict(vqgan=32, mage=64, addp=64),
        min_batch=8,
        lr=dict(vqgan=2e-3, mage=2e-3, addp=2e-3),
        minutes=15,
        changes=dict(
            vqgan={_TOKENIZER + 'num_codes': 128, _TOKENIZER + 'code_dims': 32},
            addp=ALL_RATIOS | LEARN_PIXELS | ANY_ORDER)),
    'base': Preset(  # the sizes of the release: VQGAN, MAGE-B and ViT-B
        configs=dict(vqgan='vqgan/vqgan_256.py', mage='mage/mage_vit-b_1600e.py',
                     addp='addp/vit-b_1600e.py'),
        image_size=256,
        max_batch=dict(vqgan=32, mage=256, addp=128),
        min_batch=8,
        lr=dict(vqgan=1e-4, mage=3e-4, addp=3e-4),
        minutes=24 * 60,
        changes=dict(vqgan=FAST_TOKENIZER)),
    'large': Preset(  # VQGAN, MAGE-L and ViT-L
        configs=dict(vqgan='vqgan/vqgan_256.py', mage='mage/mage_vit-l_1600e.py',
                     addp='addp/vit-l_800e.py'),
        image_size=256,
        max_batch=dict(vqgan=32, mage=128, addp=64),
        min_batch=16,
        lr=dict(vqgan=1e-4, mage=2e-4, addp=2e-4),
        minutes=72 * 60,
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
    places = 1 + model.data_preprocessor.grid_size[0] * model.data_preprocessor.grid_size[1]
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
