from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

from addp_mm.models.addp import ADDPViT, MaskedPixelHead
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch

HIDDEN = dict(pixel_head=dict(type='MaskedPixelHead', num_heads=2, depth=1))
SIZES = dict(in_channels=8, patch_size=4, grid_size=(4, 4), num_heads=2, depth=1)


@pytest.fixture
def encoder() -> ADDPViT:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        vit = ADDPViT(arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16),
                      img_size=16, patch_size=4)
        vit.init_weights()
    return vit.eval()


def make_head(**changes: object) -> MaskedPixelHead:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        head = MaskedPixelHead(**SIZES, **changes)
        head.init_weights()
    return head


def test_all_patches_visible_are_encoded_as_the_encoder_does(encoder: ADDPViT):
    images = torch.rand(2, 3, 16, 16)
    places = torch.arange(16).expand(2, -1)
    wanted = encoder(images)[-1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(encoder.encode_visible(images, places)[:, 1:], wanted)
    backwards = encoder.encode_visible(images, places.flip(1))[:, 1:].flip(1)
    torch.testing.assert_close(backwards, wanted)


def test_hidden_patches_are_not_read(encoder: ADDPViT):
    images, places = torch.rand(1, 3, 16, 16), torch.tensor([[0, 5]])
    before = encoder.encode_visible(images, places)
    images[..., 8:, :] = 7.
    assert torch.equal(encoder.encode_visible(images, places), before)
    images[..., :4, :4] = 7.
    assert not torch.allclose(encoder.encode_visible(images, places), before)


@pytest.mark.parametrize('repeats', [1, 3])
def test_the_loss_is_that_of_the_hidden_patches_alone(encoder: ADDPViT, repeats: int):
    head, images = make_head(mask_ratio=0.75, repeats=repeats), torch.rand(2, 3, 16, 16)
    calls = []
    head.decoder.register_forward_hook(
        lambda _, args, out: calls.append((*args, out)) or out.retain_grad())
    loss = head.loss(None, images, encoder)
    loss.backward()
    (encoded, places, found), = calls
    visible = places < 4    # of each patch the place in what the decoder puts together
    assert visible.sum(dim=1).tolist() == [4] * 2 * repeats
    assert torch.equal(found.grad.abs().sum(dim=2) > 0, ~visible)
    if repeats > 1:
        assert not torch.equal(visible[0], visible[1]), 'one mask for all repetitions'
    images = images.repeat_interleave(repeats, dim=0)
    torch.testing.assert_close(
        encoded, encoder.encode_visible(images, places.argsort(dim=1)[:, :4]))
    wanted = head.pixel_loss.patchify(images)
    wanted = (wanted - wanted.mean(dim=2, keepdim=True)) / wanted.std(dim=2, keepdim=True)
    torch.testing.assert_close(loss, (found - wanted).square()[~visible].mean(), rtol=1e-4,
                               atol=0.)


def test_it_is_a_second_loss_of_addp_that_reaches_the_encoder(tmp_path: Path):
    model = build_model(tiny_addp_cfg(tmp_path, **HIDDEN))
    batch = model.data_preprocessor(tiny_batch(), True)
    losses = model(**batch, mode='loss')
    assert losses.keys() == {'loss_token', 'loss_pixel'}
    losses['loss_pixel'].backward()
    assert model.neck.decoder_embed.weight.grad is None
    assert all(p.grad is not None for p in model.backbone.parameters())     # CLS too
    assert model.pixel_head.decoder.decoder_pred.weight.grad.abs().sum() > 0


def test_what_it_cannot_hide_is_named(tmp_path: Path, encoder: ADDPViT):
    with pytest.raises(ValueError, match='square images'):
        MaskedPixelHead(**SIZES | dict(grid_size=(4, 2)))
    with pytest.raises(ValueError, match='hide some of 16 patches'):
        make_head(mask_ratio=1.)
    resnet = dict(backbone=dict(_delete_=True, type='ResNet', depth=18), neck=dict(in_channels=512))
    with pytest.raises(ValueError, match='needs an encoder that can leave patches out'):
        build_model(tiny_addp_cfg(tmp_path, **resnet, **HIDDEN))
    encoder.cls_token = None
    with pytest.raises(ValueError, match='with_cls_token'):
        encoder.encode_visible(torch.rand(1, 3, 16, 16), torch.zeros(1, 2, dtype=torch.long))
