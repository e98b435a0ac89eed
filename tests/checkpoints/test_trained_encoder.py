"""Heads and input of an encoder, which its tensors do not show."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.models.backbones import ResNet
from mmpretrain.models.utils import ClsDataPreprocessor

from addp_mm.checkpoints.trained_encoder import other_heads, other_input
from addp_mm.models.addp import ADDPViT

CONFIGS = Path(__file__).parents[2] / 'configs/digits'
ARCH = dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=64)
IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)


def meta(**model: object) -> dict:
    return dict(cfg=Config(dict(model=model)).pretty_text)


@pytest.mark.parametrize('trained, said', [
    (meta(backbone=dict(arch=ARCH)), ''),
    (meta(backbone=dict(arch=dict(ARCH, num_heads=4))), 'num_heads 4, now 2'),
    (meta(backbone=dict(type='ADDPViT', arch='base')), 'num_heads 12, now 2'),
    (meta(token_predictor=dict(arch=dict(num_heads=4))), 'num_heads 4, now 2'),
    (meta(type='MAGE', arch='large'), 'num_heads 16, now 2'),
    (meta(backbone=dict(type='ResNet', depth=50)), ''), (meta(backbone=dict(arch='unknown')), ''),
    ({}, ''), (None, ''), (dict(cfg='model: {a: 1}'), '')])
def test_heads(trained: dict | None, said: str) -> None:
    assert other_heads(trained, ADDPViT(arch=ARCH, img_size=32, patch_size=8)) == said
    assert other_heads(trained, ResNet(18)) == ''


@pytest.mark.parametrize('then, now, said', [
    ({}, {}, ''), (dict(norm_cfg=dict(type='LN', eps=1e-6)), {}, ''),
    ({}, dict(norm_cfg=dict(type='LN', eps=0.1)), 'norm_cfg.eps 1e-06, now 0.1'),
    (dict(norm_cfg=dict(type='LN', eps=0.1)), {}, 'norm_cfg.eps 0.1, now 1e-06')])
def test_norms(then: dict, now: dict, said: str) -> None:
    trained = meta(backbone=dict(type='ADDPViT', arch=ARCH, **then))
    assert other_heads(trained, ADDPViT(arch=ARCH, img_size=32, patch_size=8, **now)) == said


@pytest.mark.parametrize('trained, said', [
    (dict(type='ADDPDataPreprocessor', tokenizer=dict()), ''),
    (dict(type='mmpretrain.ADDPDataPreprocessor', to_rgb=False), 'to_rgb False, now True'),
    (dict(type='SegDataPreProcessor', mean=IMAGENET['mean'], bgr_to_rgb=True), ''),
    (dict(IMAGENET, std=[1, 1, 1]), 'std [1.0, 1.0, 1.0], now [58.395, 57.12, 57.375]'),
    (dict(mean=IMAGENET['mean']), 'to_rgb False, now True'), (dict(to_rgb=True), '')])
def test_input(trained: dict, said: str) -> None:
    now = ClsDataPreprocessor(**IMAGENET)
    assert other_input(meta(backbone=dict(), data_preprocessor=trained), now) == said
    assert other_input(meta(token_predictor=dict(), data_preprocessor=trained), now) == ''


@pytest.mark.parametrize('std, said', [([58., 57., 57.], False), ([127.5] * 3, False),
                                       ([1.] * 3, True), ([0.229] * 3, True), ([0.] * 3, True)])
def test_an_encoder_that_learns_gets_used_to_near_scales(std: list[float], said: bool) -> None:
    trained = meta(backbone=dict(), data_preprocessor=dict(type='ADDPDataPreprocessor'))
    now = ClsDataPreprocessor(mean=[127.5] * 3, std=std)
    assert bool(other_input(trained, now, learns=True)) == said
    assert 'mean [' in other_input(trained, now)


def test_images_that_are_not_normalised_are_compared() -> None:
    said = other_input(meta(backbone=dict(), data_preprocessor=IMAGENET),
                       ClsDataPreprocessor(to_rgb=True))
    assert said == ('mean [123.675, 116.28, 103.53], now [0.0, 0.0, 0.0]; '
                    'std [58.395, 57.12, 57.375], now [1.0, 1.0, 1.0]')


def test_checkpoints_without_a_config_are_not_compared() -> None:
    now = ClsDataPreprocessor(**IMAGENET)
    for unknown in (None, {}, meta(backbone=dict())):
        assert other_input(unknown, now) == ''


@pytest.mark.parametrize('user', ['knn', 'linear', 'linear-segmentor', 'fcos'])
def test_shipped_configs_prepare_images_as_in_the_pre_training(user: str) -> None:
    trained, cfg = (Config.fromfile(CONFIGS / f'{name}.py') for name in ('addp', user))
    scope = cfg.default_scope or 'mmpretrain'
    pytest.importorskip(f'{scope}.models')
    init_default_scope(scope)
    preprocessor = MODELS.build({'type': 'ClsDataPreprocessor', **cfg.model.data_preprocessor})
    assert other_input(dict(cfg=trained.pretty_text), preprocessor) == ''
