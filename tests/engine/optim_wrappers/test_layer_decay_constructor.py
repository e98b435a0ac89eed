"""BackboneLayerDecayConstructor: the encoder's depths in any model that has one."""
from __future__ import annotations

import pytest
from mmengine.optim import build_optim_wrapper
from torch import nn

from addp_mm.models.addp import ADDPViT

ARCH = dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=8)
WRAPPER = dict(
    type='OptimWrapper', constructor='mmpretrain.BackboneLayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=1., weight_decay=0.1),
    paramwise_cfg=dict(layer_decay_rate=0.5, flat_decay_mult=0.,
                       custom_keys=dict(pos_embed=dict(decay_mult=0.))))


def detector(backbone: nn.Module) -> nn.Module:
    model = nn.Module()
    model.backbone, model.neck = backbone, nn.Linear(8, 8)
    return model


def test_rates_and_decays():
    backbone = ADDPViT(arch=ARCH, img_size=16, patch_size=8, frozen_stages=1)
    wrapper = build_optim_wrapper(detector(backbone), WRAPPER)
    groups = {group['param_name']: group for group in wrapper.optimizer.param_groups}
    rates = {name: group['lr'] for name, group in groups.items()}
    assert rates['neck.weight'] == 1 and rates['backbone.ln1.weight'] == 1
    assert rates['backbone.layers.2.attn.qkv.weight'] == 0.5
    assert rates['backbone.layers.1.attn.qkv.weight'] == 0.25
    # What is frozen is not the optimizer's.
    frozen = ('backbone.layers.0.', 'backbone.patch_embed')
    assert not any(name.startswith(frozen) for name in rates)
    assert groups['neck.weight']['weight_decay'] == 0.1 and groups['neck.bias']['weight_decay'] == 0


def test_encoder_without_depths_is_refused():
    with pytest.raises(ValueError, match='expects an encoder with get_layer_depth.*got Linear'):
        build_optim_wrapper(detector(nn.Linear(8, 8)), WRAPPER)
