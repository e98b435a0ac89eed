"""Feature maps of chosen layers."""
from __future__ import annotations

import pytest
import torch
from mmpretrain.models.backbones import ResNet
from torch import nn

from addp_mm.apis.encoder_outputs import encoder_outputs
from addp_mm.models.addp import ADDPViT

ARCH = dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=16)
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_layers_of_a_vit() -> None:
    encoder = ADDPViT(arch=ARCH, img_size=32, patch_size=8).eval()
    first, last, again = encoder_outputs(encoder, IMAGES, (0, -1, 0))
    assert first.shape == (2, 16, 4, 4) and torch.equal(first, again)
    assert torch.equal(last, encoder(IMAGES)[0]) and not torch.equal(first, last)
    shallow = ADDPViT(arch=dict(ARCH, num_layers=1), img_size=32, patch_size=8, final_norm=False)
    shallow.load_state_dict(encoder.state_dict(), strict=False)
    assert torch.equal(first, shallow.eval()(IMAGES)[0])


@torch.no_grad()
def test_stages_of_a_resnet() -> None:
    encoder = ResNet(50, base_channels=4, stem_channels=4)
    encoder.eval()      # which gives None
    maps = encoder_outputs(encoder, IMAGES, (3, 1))
    assert [m.shape[1:] for m in maps] == [(128, 1, 1), (32, 4, 4)]
    assert len(encoder(IMAGES)) == 1


@pytest.mark.parametrize('indices', [(3, ), (-4, ), ()])
def test_layers_that_there_are_not(indices: tuple[int, ...]) -> None:
    encoder = ADDPViT(arch=ARCH, img_size=32, patch_size=8)
    with pytest.raises(ValueError, match='between -3 and 2'):
        encoder_outputs(encoder, IMAGES, indices)


def test_an_encoder_of_its_own_kind() -> None:
    with pytest.raises(ValueError, match='A Conv2d returns what its config says'):
        encoder_outputs(nn.Conv2d(3, 8, 1), IMAGES, (0, ))
