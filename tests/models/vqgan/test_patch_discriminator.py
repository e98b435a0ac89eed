from __future__ import annotations

import pytest
import torch
from torch import nn

from addp_mm.models.vqgan import PatchDiscriminator


def test_logits_of_tamings_setting():
    discriminator = PatchDiscriminator(channels=2)
    assert discriminator(torch.rand(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    widths = [m.out_channels for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert widths == [2, 4, 8, 16, 1]


def test_a_logit_sees_70_pixels():
    discriminator = PatchDiscriminator(channels=2).eval()
    images = torch.rand(1, 3, 128, 128, requires_grad=True)
    logits = discriminator(images)
    logits[0, 0, 7, 7].backward()
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def test_parameters_are_those_of_64_channels_and_batch_norm():
    count = sum(p.numel() for p in PatchDiscriminator().parameters())
    convolutions = 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512) + 64 + 1
    assert count == convolutions + 2 * (128 + 256 + 512)


def test_start_values():
    discriminator = PatchDiscriminator(channels=64, num_layers=2)
    discriminator.init_weights()
    for module in discriminator.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.mean().item() == pytest.approx(1, abs=0.02)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.4)


def test_images_are_brought_from_0_1_to_the_range_around_0():
    discriminator = PatchDiscriminator(channels=2, num_layers=1).eval()
    grey = torch.full((1, 3, 8, 8), 0.5)
    nn.init.zeros_(discriminator.layers[0].conv.bias)
    assert discriminator.layers[0](2 * grey - 1).abs().sum() == 0
    plain = discriminator.to_logits(discriminator.layers(torch.zeros(1, 3, 8, 8)))
    torch.testing.assert_close(discriminator(grey), plain)


def test_smallest_images():
    for num_layers in (1, 2, 3):
        discriminator = PatchDiscriminator(channels=2, num_layers=num_layers)
        side = discriminator.min_size
        assert discriminator(torch.rand(2, 3, side, side)).shape == (2, 1, 1, 1)
        with pytest.raises(ValueError, match='num_layers'):
            discriminator(torch.rand(2, 3, side - 1, side))


def test_num_layers_must_be_positive():
    with pytest.raises(ValueError, match='num_layers'):
        PatchDiscriminator(num_layers=0)
