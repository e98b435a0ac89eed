from __future__ import annotations

import pytest
import torch
from mmcv.cnn import ConvModule
from mmengine.registry import MODELS, DefaultScope
from torch import nn


def build(**overrides) -> nn.Module:
    return MODELS.build(dict(type='SimpleFPN', in_channels=32, out_channels=12) | overrides)


def test_levels():
    outs = build()((torch.randn(2, 5, 1, 1), torch.randn(2, 32, 6, 10)))
    assert [tuple(out.shape) for out in outs] == [
        (2, 12, 24, 40), (2, 12, 12, 20), (2, 12, 6, 10), (2, 12, 3, 5), (2, 12, 2, 3)]


def test_layers_are_those_of_vitdet():
    neck = build()
    shapes = {name: tuple(p.shape) for name, p in neck.named_parameters() if p.ndim == 4}
    assert shapes == {
        'rescales.0.0.weight': (32, 16, 2, 2), 'rescales.0.3.weight': (16, 8, 2, 2),
        'rescales.1.weight': (32, 16, 2, 2)
    } | {
        f'convs.{level}.{i}.conv.weight': (12, channels if i == 0 else 12, 1 + 2 * i, 1 + 2 * i)
        for level, channels in enumerate((8, 16, 32, 32)) for i in (0, 1)
    }
    assert not any(name.endswith('conv.bias') for name, _ in neck.named_parameters())
    assert not any(isinstance(module, nn.ReLU) for module in neck.modules())
    # The sixth level takes every second place of the fifth, without an average.
    outs = neck((torch.randn(1, 32, 8, 8), ))
    assert torch.equal(outs[4], outs[3][:, :, ::2, ::2])


def test_levels_of_the_last_map():
    neck = build(num_outs=4)
    features = torch.randn(1, 32, 6, 6)
    outs = neck((features, ))
    conv = neck.convs[3]
    torch.testing.assert_close(outs[3], conv(nn.functional.max_pool2d(features, 2)))
    torch.testing.assert_close(outs[2], neck.convs[2](features))


@pytest.mark.parametrize('overrides', [dict(num_outs=3), dict(in_channels=30)])
def test_errors(overrides: dict):
    with pytest.raises(ValueError, match='num_outs of at least 4 and in_channels divisible by 4'):
        build(**overrides)


def test_norm_over_channels_is_found_in_the_scope_of_mmdet():
    pytest.importorskip('mmdet', reason='needs mmdet')
    with DefaultScope.overwrite_default_scope('mmdet'):
        layer = ConvModule(3, 8, 1, norm_cfg=dict(type='LN2d', eps=1e-6))
    out = layer.norm(torch.randn(2, 8, 4, 5) * 3 + 1)
    assert isinstance(layer.norm, nn.LayerNorm) and layer.norm.eps == 1e-6
    torch.testing.assert_close(out.mean(dim=1), torch.zeros(2, 4, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.var(dim=1, correction=0), torch.ones(2, 4, 5), atol=1e-4, rtol=0)
