"""Tiny configs of the whole method: images of 32 x 32 pixels, 16 tokens out of 24 codes.

Widths, code dims, vocabulary and grid differ from each other where they may, so that a mix-up of
two of them cannot pass. Grids that are not square come from ``image_size=(32, 48)``.
"""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import nn

from addp_mm import models  # noqa: F401  (registers)
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.registry import MODELS

IMAGE_SIZE = 32
STRIDE = 8
NUM_CODES = 24
CODE_DIMS = 12
VOCAB_SIZE = NUM_CODES + 7


def tiny_tokenizer_cfg(**overrides: Any) -> dict:
    """Config of a VQGAN: 0.3 M parameters, stride 8."""
    return dict(
        type='VQGAN', image_size=IMAGE_SIZE, num_codes=NUM_CODES, code_dims=CODE_DIMS,
        channels=32, channel_mult=(1, 1, 1, 1), num_res_blocks=1) | overrides


def tiny_token_predictor_cfg(**overrides: Any) -> dict:
    """Config of a MAGE; ``num_codes`` and ``grid_size`` come from the tokenizer."""
    return dict(
        type='MAGE', arch=dict(embed_dims=32, depth=2, num_heads=2), decoder_depth=1,
        decoder_heads=4) | overrides


def grid_of(image_size: int | tuple[int, int] = IMAGE_SIZE) -> tuple[int, int]:
    """The token grid of an image size under :func:`tiny_tokenizer_cfg`."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    return height // STRIDE, width // STRIDE


def build_tiny_tokenizer(**overrides: Any) -> nn.Module:
    """A VQGAN with random weights under which codes differ and pixels lie around 0.5."""
    tokenizer = MODELS.build(tiny_tokenizer_cfg(**overrides))
    nn.init.normal_(tokenizer.quantize.embedding.weight)
    nn.init.normal_(tokenizer.encoder.conv_out.weight, std=0.3)
    nn.init.normal_(tokenizer.decoder.conv_out.weight, std=0.03)
    nn.init.constant_(tokenizer.decoder.conv_out.bias, 0.5)
    return tokenizer.eval()


def build_tiny_token_predictor(image_size: int | tuple[int, int] = IMAGE_SIZE,
                               **overrides: Any) -> nn.Module:
    """A MAGE with random weights whose distributions are far from uniform."""
    sizes = dict(num_codes=NUM_CODES, grid_size=grid_of(image_size))
    predictor = MODELS.build(sizes | tiny_token_predictor_cfg(**overrides))
    predictor.init_weights()
    nn.init.normal_(predictor.token_embed.weight, std=0.5)
    return predictor.eval()


def save_tiny_weights(tmp_path: Path, image_size: int | tuple[int, int] = IMAGE_SIZE,
                      num_codes: int = NUM_CODES) -> dict[str, str]:
    """Write weight files of the frozen parts, the same in every call.

    The global random state is left as it is.

    Returns:
        The paths by the names 'tokenizer' and 'token_predictor'.
    """
    sizes = dict(image_size=image_size, num_codes=num_codes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parts = dict(tokenizer=build_tiny_tokenizer(**sizes),
                     token_predictor=build_tiny_token_predictor(**sizes))
    paths = {name: str(Path(tmp_path) / f'tiny_{name}.pth') for name in parts}
    for name, part in parts.items():
        save_weights(part.state_dict(), paths[name], overwrite=True)
    return paths


def tiny_addp_cfg(tmp_path: Path, image_size: int | tuple[int, int] = IMAGE_SIZE,
                  **overrides: Any) -> dict:
    """Complete config of an ADDP; its frozen parts have their weight files in ``tmp_path``.

    Args:
        tmp_path: Where the weight files are written.
        image_size: Image size of the tokenizer.
        **overrides: Merged into the config as mmengine merges configs, nested dicts and
            ``_delete_`` included: ``head=dict(loss=dict(target='hard'))``.
    """
    paths = save_tiny_weights(tmp_path, image_size)
    cfg = dict(
        type='ADDP',
        data_preprocessor=dict(
            type='ADDPDataPreprocessor',
            tokenizer=dict(model=tiny_tokenizer_cfg(image_size=image_size),
                           checkpoint=paths['tokenizer']),
            token_predictor=dict(model=tiny_token_predictor_cfg(),
                                 checkpoint=paths['token_predictor'])),
        backbone=dict(
            type='ADDPViT', patch_size=STRIDE,
            arch=dict(embed_dims=32, num_layers=2, num_heads=2, feedforward_channels=64)),
        neck=dict(type='TokenDecoder', vocab_size=VOCAB_SIZE, embed_dims=48, depth=2, num_heads=4),
        head=dict(type='TokenHead'))
    return _merge(cfg, overrides)


def tiny_mage_training_cfg(tmp_path: Path, **overrides: Any) -> dict:
    """Complete config of a MAGETraining; see :func:`tiny_addp_cfg`."""
    cfg = dict(
        type='MAGETraining',
        data_preprocessor=dict(
            type='TokenDataPreprocessor',
            tokenizer=dict(model=tiny_tokenizer_cfg(),
                           checkpoint=save_tiny_weights(tmp_path)['tokenizer'])),
        token_predictor=tiny_token_predictor_cfg())
    return _merge(cfg, overrides)


def build_model(cfg: dict) -> BaseModel:
    """Build a model and set its start values, which also reads the frozen weights."""
    model = MODELS.build(cfg)
    model.init_weights()
    return model


def tiny_batch(num_images: int = 2, image_size: int | tuple[int, int] = IMAGE_SIZE) -> dict:
    """A batch as a data loader gives it: BGR uint8 images of smooth, different colours."""
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    coarse = torch.rand(num_images, 3, 4, 4)
    images = nn.functional.interpolate(coarse, (height, width), mode='bicubic').clamp(0, 1)
    return dict(inputs=(255 * images).byte(), data_samples=None)


def _merge(cfg: dict, overrides: dict) -> dict:
    merged = Config(cfg)
    merged.merge_from_dict(copy.deepcopy(overrides))        # mmengine takes `_delete_` out
    return merged.to_dict()
