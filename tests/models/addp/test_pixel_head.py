from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from addp_mm.models.addp import PixelHead
from tests.helpers.tiny import STRIDE, build_model, tiny_addp_cfg, tiny_batch

PIXELS = dict(pixel_head=dict(loss_weight=0.5))


def with_identity(patch: int = 2) -> PixelHead:
    """A head whose features are the pixels themselves."""
    head = PixelHead(in_channels=3 * patch**2, patch_size=patch)
    torch.nn.init.eye_(head.projection.weight)
    torch.nn.init.zeros_(head.projection.bias)
    return head


def test_features_that_are_the_pixels_have_no_loss_and_others_have_their_distance():
    images = torch.rand(2, 3, 4, 6)
    features = F.pixel_unshuffle(images, 2)
    head = with_identity()
    assert head.loss(features, images).item() == pytest.approx(0., abs=1e-10)
    assert head.loss(features + 0.5, images).item() == pytest.approx(0.25, rel=1e-5)


def test_norm_pix_takes_brightness_and_contrast_of_a_patch_away():
    head = PixelHead(in_channels=4, patch_size=2, norm_pix=True)
    features, images = torch.randn(1, 4, 2, 2), torch.rand(1, 3, 4, 4)
    assert head.loss(features, 3 * images + 1).item() == pytest.approx(
        head.loss(features, images).item(), rel=1e-3)
    head.norm_pix = False
    assert head.loss(features, 3 * images + 1).item() != pytest.approx(
        head.loss(features, images).item(), rel=1e-1)


@pytest.mark.parametrize('shape', [(1, 13, 2, 2), (1, 12, 4, 4)], ids=['channels', 'grid'])
def test_features_that_do_not_fit_are_named(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match='in_channels to the encoder'):
        with_identity().loss(torch.zeros(shape), torch.zeros(1, 3, 4, 4))


def test_it_is_a_second_loss_of_addp_that_reaches_the_encoder(tmp_path: Path):
    model = build_model(tiny_addp_cfg(tmp_path, **PIXELS))
    assert model.pixel_head.patch_size == STRIDE
    batch = model.data_preprocessor(tiny_batch(), True)
    losses = model(**batch, mode='loss')
    assert losses.keys() == {'loss_token', 'loss_pixel'}
    model.neck.requires_grad_(False)
    losses['loss_pixel'].backward()
    assert model.backbone.patch_embed.projection.weight.grad.abs().sum() > 0
    assert model.pixel_head.projection.weight.grad.abs().sum() > 0


def test_it_learns_the_clean_images_and_not_the_noisy_ones(tmp_path: Path):
    model = build_model(tiny_addp_cfg(tmp_path, **PIXELS))
    data = tiny_batch()
    sample = model.data_preprocessor(data, True)['data_samples']
    torch.testing.assert_close(sample.images, data['inputs'].flip(1).float() / 255)


def test_without_it_no_image_is_kept_and_there_is_no_second_loss(tmp_path: Path):
    model = build_model(tiny_addp_cfg(tmp_path))
    batch = model.data_preprocessor(tiny_batch(), True)
    assert batch['data_samples'].images is None
    assert model(**batch, mode='loss').keys() == {'loss_token'}


def test_an_encoder_of_another_kind_must_name_its_sizes(tmp_path: Path):
    resnet = dict(backbone=dict(_delete_=True, type='ResNet', depth=18), neck=dict(in_channels=512))
    named = dict(pixel_head=dict(in_channels=512, patch_size=32))
    model = build_model(tiny_addp_cfg(tmp_path, **resnet, **named))
    losses = model(**model.data_preprocessor(tiny_batch(), True), mode='loss')
    assert losses['loss_pixel'] > 0
    with pytest.raises(ValueError, match='only a ViT tells them'):
        build_model(tiny_addp_cfg(tmp_path, **resnet, pixel_head=dict()))
