"""All three parts on other grids than 16 x 16: finer, not square, and of 512 pixels.

Tables, mask counts and outputs follow the tokenizer's grid, nothing else names it.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner.checkpoint import load_checkpoint
from torch import nn

from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.registry import MODELS
from tests.helpers.tiny import (
    NUM_CODES,
    build_model,
    build_tiny_token_predictor,
    build_tiny_tokenizer,
    tiny_addp_cfg,
    tiny_batch,
    tiny_mage_training_cfg,
    tiny_token_predictor_cfg,
    tiny_tokenizer_cfg,
)

CONFIGS = Path(__file__).parents[1] / 'configs'
# image size, resolutions of the tokenizer (stride 4, 8 or 16), grid
FINE = (128, (1, 1, 1), (32, 32))
WIDE = ((64, 144), (1, 1, 1, 1), (8, 18))
LARGE = (512, (1, 1, 1, 1, 1), (32, 32))
GRIDS = pytest.mark.parametrize('image_size, channel_mult, grid', [FINE, WIDE],
                                ids=['32x32', '8x18'])
RATIO = 0.7


def write_frozen(tmp_path: Path, grid: tuple[int, int], **tokenizer: Any) -> dict[str, dict]:
    """Weight files and configs of a tokenizer and of a token predictor for its grid."""
    parts = dict(
        tokenizer=(build_tiny_tokenizer(**tokenizer), tiny_tokenizer_cfg(**tokenizer)),
        token_predictor=(build_tiny_token_predictor(grid_size=grid), tiny_token_predictor_cfg()))
    frozen = {}
    for name, (model, cfg) in parts.items():
        path = tmp_path / f'{name}.pth'
        save_weights(model.state_dict(), path, overwrite=True)
        frozen[name] = dict(model=cfg, checkpoint=str(path))
    return frozen


def build_addp(tmp_path: Path, image_size: int | tuple[int, int], channel_mult: tuple[int, ...],
               grid: tuple[int, int], **overrides: Any) -> nn.Module:
    frozen = write_frozen(tmp_path, grid, image_size=image_size, channel_mult=channel_mult)
    cfg = tiny_addp_cfg(tmp_path)
    cfg['data_preprocessor'].update(
        frozen, diffusion=dict(type='DiffusionProcess',
                               mask_ratio=dict(type='FixedMaskRatio', ratio=RATIO)))
    cfg['backbone']['patch_size'] = 2**(len(channel_mult) - 1)
    return build_model({**cfg, 'val_ratios': (0.8, ), **overrides})


def check_training(model: nn.Module, image_size: int | tuple[int, int],
                   grid: tuple[int, int]) -> None:
    """Tables, mask counts, loss and gradients of an ADDP on a grid."""
    num_tokens = math.prod(grid)
    preprocessor = model.data_preprocessor
    assert preprocessor.grid_size == model.neck.grid_size == model.head.grid_size == grid
    assert tuple(model.backbone.patch_resolution) == grid
    tables = {name: value for name, value in model.named_parameters() if 'pos_embed' in name}
    assert len(tables) == 4
    assert all(table.shape[1] == 1 + num_tokens for table in tables.values())

    data = preprocessor(tiny_batch(1, image_size), training=True)
    noisy = data['data_samples']
    assert noisy.mask.shape == noisy.token_ids.shape == (1, *grid)
    assert noisy.mask.sum() == math.ceil(RATIO * num_tokens)
    assert noisy.target_probs.shape == (1, NUM_CODES, *grid)
    loss = model(**data, mode='loss')['loss_token']
    loss.backward()
    assert loss.isfinite()
    for name, table in tables.items():
        moved = table.grad.abs().sum(dim=2)[0, 1:]
        assert moved.isfinite().all() and (moved > 0).sum() >= num_tokens * (1 - RATIO) - 1, name


@GRIDS
def test_addp(tmp_path, image_size, channel_mult, grid):
    model = build_addp(tmp_path, image_size, channel_mult, grid)
    check_training(model, image_size, grid)
    score, = model.val_step(tiny_batch(1, image_size))
    assert score['count'] == math.ceil(0.8 * math.prod(grid))
    assert math.isfinite(score['loss']) and score['token_ids'].shape == (1, *grid)


def test_addp_at_512_pixels(tmp_path):
    image_size, channel_mult, grid = LARGE
    check_training(build_addp(tmp_path, image_size, channel_mult, grid), image_size, grid)


@GRIDS
def test_tokenizer_training(image_size, channel_mult, grid):
    model = build_model(dict(
        type='VQGANTraining',
        tokenizer=tiny_tokenizer_cfg(image_size=image_size, channel_mult=channel_mult)))
    batch = tiny_batch(1, image_size)
    data = model.data_preprocessor(batch, training=True)
    sum(value for name, value in model(**data, mode='loss').items() if 'loss' in name).backward()
    assert model.tokenizer.encoder.conv_in.weight.grad.abs().sum() > 0
    result, = model.val_step(batch)
    assert result['token_ids'].shape == grid
    assert result['reconstruction'].shape == batch['inputs'].shape[1:]


@GRIDS
def test_token_predictor_training(tmp_path, image_size, channel_mult, grid):
    frozen = write_frozen(tmp_path, grid, image_size=image_size, channel_mult=channel_mult)
    cfg = tiny_mage_training_cfg(tmp_path)
    cfg['data_preprocessor']['tokenizer'] = frozen['tokenizer']
    model = build_model(cfg)
    assert model.token_predictor.grid_size == grid
    assert model.token_predictor.pos_embed.shape[1] == 1 + math.prod(grid)
    data = model.data_preprocessor(tiny_batch(1, image_size), training=True)
    model(**data, mode='loss')['loss_token'].backward()
    moved = model.token_predictor.decoder_pos_embed.grad.abs().sum(dim=2)
    assert (moved > 0).all()
    counts = [score['count'] for score in model.val_step(tiny_batch(1, image_size))]
    assert counts == [math.ceil(ratio * math.prod(grid)) for ratio in model.val_ratios]


def coordinates(grid: tuple[int, int], dims: int) -> torch.Tensor:
    """A table whose first two entries are row and column as shares of the grid; CLS: -1."""
    rows, columns = ((torch.arange(side) + 0.5) / side for side in grid)
    table = torch.zeros(*grid, dims)
    table[..., 0], table[..., 1] = rows[:, None], columns
    return torch.cat((torch.full((1, 1, dims), -1.), table.view(1, -1, dims)), dim=1)


def check_resized(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor],
                  grid: tuple[int, int], num_tables: int) -> None:
    """Tables of ``coordinates`` are those of the new grid; everything else is unchanged."""
    tables = [name for name in before if name.endswith('pos_embed')]
    assert len(tables) == num_tables
    for name, value in before.items():
        if name not in tables:
            assert torch.equal(after[name], value), name
            continue
        expected = coordinates(grid, value.shape[2])
        assert after[name].shape == expected.shape
        # Bicubic interpolation nearly keeps a slope, but for the border; places are 0.03 apart.
        inner = torch.zeros(grid, dtype=torch.bool)
        inner[4:-4, 4:-4] = True
        inner = torch.cat((torch.tensor([True]), inner.flatten()))
        assert torch.allclose(after[name][:, inner], expected[:, inner], atol=5e-3), name


def save_with_coordinates(model: nn.Module, path: Path) -> dict[str, torch.Tensor]:
    """Write a runner's kind of checkpoint, with ``coordinates`` as position tables."""
    for name, parameter in model.named_parameters():
        if name.endswith('pos_embed'):
            parameter.data = coordinates((16, 16), parameter.shape[2])
    torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=1)), path)
    return model.state_dict()


@pytest.mark.parametrize('start', ['load_checkpoint', 'init_cfg'])
@pytest.mark.parametrize('image_size, grid', [(256, (32, 32)), ((160, 256), (20, 32))])
def test_addp_starts_from_a_checkpoint_of_16_x_16_tokens(tmp_path, start, image_size, grid):
    path = tmp_path / 'epoch_1.pth'
    small = MODELS.build(tiny_addp_cfg(tmp_path, image_size=128))
    before = save_with_coordinates(small, path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path)) if start == 'init_cfg' else None
    model = build_addp(tmp_path, image_size, (1, 1, 1, 1), grid, init_cfg=init_cfg)
    if start == 'load_checkpoint':
        load_checkpoint(model, str(path), map_location='cpu', strict=True)
    check_resized(before, model.state_dict(), grid, num_tables=4)


def test_token_predictor_starts_from_a_checkpoint_of_16_x_16_tokens(tmp_path):
    small = build_tiny_token_predictor(image_size=128)
    before = save_with_coordinates(small, tmp_path / 'epoch_1.pth')
    model = build_tiny_token_predictor(image_size=256)
    load_checkpoint(model, str(tmp_path / 'epoch_1.pth'), map_location='cpu', strict=True)
    check_resized(before, model.state_dict(), (32, 32), num_tables=2)


@pytest.mark.parametrize('name, tables', [('mage/mage_vit-b_512.py', 2),
                                          ('addp/addp_vit-b_512.py', 4)])
def test_configs_of_512_pixels(name, tables):
    cfg = Config.fromfile(CONFIGS / name)
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    assert model.data_preprocessor.image_size == (512, 512)
    assert model.data_preprocessor.grid_size == (32, 32)
    lengths = [p.shape[1] for n, p in model.named_parameters() if n.endswith('pos_embed')]
    assert lengths == [1 + 32 * 32] * tables
    loading = cfg.train_dataloader.dataset.pipeline[1]
    assert loading.crop.scale == 512
    batch = 8 * cfg.train_dataloader.batch_size * cfg.optim_wrapper.accumulative_counts
    assert batch == 4096 == cfg.custom_hooks[-1].expected
    assert cfg.auto_scale_lr.base_batch_size == 8 * cfg.train_dataloader.batch_size
    assert cfg.param_scheduler[-1].end == cfg.train_cfg.max_epochs


def test_parts_of_512_pixels_fit_each_other():
    tokenizer, predictor, addp = (
        Config.fromfile(CONFIGS / name).model for name in
        ('vqgan/vqgan_512_stride16.py', 'mage/mage_vit-b_512.py', 'addp/addp_vit-b_512.py'))
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        own, used, used_again = (MODELS.build(cfg).state_dict() for cfg in (
            tokenizer.tokenizer, predictor.data_preprocessor.tokenizer.model,
            addp.data_preprocessor.tokenizer.model))
        sizes = dict(num_codes=1024, grid_size=(32, 32))
        made = MODELS.build({**sizes, **predictor.token_predictor}).state_dict()
        taken = MODELS.build({**sizes, **addp.data_preprocessor.token_predictor.model}).state_dict()
    for first, second in ((own, used), (own, used_again), (made, taken)):
        assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}
