from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from torch import nn

from addp_mm.dense import ADDPUperViT
from addp_mm.dense.position_bias import kept_distance_index, resize_bias_table
from addp_mm.models.addp import ADDPViT
from tests.helpers.dense_peers import ARCH, assert_equal, outputs_and_grads, randomize
from tests.helpers.tiny import save_tiny_weights, tiny_tokenizer_cfg

SIZES = dict(arch=ARCH, img_size=64, patch_size=8, out_indices=(0, 1, 2, 3))
IN_MMSEG = {'attn.gamma1.weight': 'gamma_1', 'ffn.gamma2.weight': 'gamma_2'}


def build(**overrides) -> ADDPUperViT:
    return randomize(ADDPUperViT(**copy.deepcopy(SIZES | overrides)))


def name_in_mmseg(name: str) -> str:
    for ours, theirs in IN_MMSEG.items():
        name = name.replace(ours, theirs)
    return name


@pytest.mark.parametrize('img_size', [(64, 64), (48, 72)])
@pytest.mark.parametrize('fused', [True, False])
def test_equals_mae_of_mmseg(img_size: tuple[int, int], fused: bool):
    pytest.importorskip('mmseg', reason='needs mmseg')
    from mmseg.models.backbones import MAE
    model = build(img_size=img_size, fused=fused)
    twin = MAE(img_size=img_size, patch_size=8, embed_dims=32, num_layers=4, num_heads=2,
               mlp_ratio=2, out_indices=[0, 1, 2, 3], norm_cfg=dict(type='LN', eps=1e-6),
               init_values=1.)
    weights = {name_in_mmseg(name): tensor for name, tensor in model.state_dict().items()}
    problems = twin.load_state_dict(weights, strict=False)
    assert not problems.unexpected_keys
    assert all(name.endswith('_index') for name in problems.missing_keys)
    images = torch.randn(2, 3, *img_size)
    got, got_grads = outputs_and_grads(model, images)
    want, want_grads = outputs_and_grads(twin, images)
    for a, b in zip(got, want, strict=True):
        assert_equal(a, b)
    assert len(got_grads) == len(want_grads)
    for name, grad in got_grads.items():
        assert_equal(grad, want_grads[name_in_mmseg(name)], name)


@pytest.mark.parametrize('image_size', [(40, 88), (61, 30)])
@pytest.mark.parametrize('with_cls_token', [True, False])
def test_other_sizes_equal_the_definition(image_size: tuple[int, int], with_cls_token: bool):
    model = build(with_cls_token=with_cls_token)
    images = torch.randn(2, 3, *image_size)
    results = []
    for fused in (True, False):
        for layer in model.layers:
            layer.attn.fused = fused
        results.append(outputs_and_grads(model, images))
    (got, got_grads), (want, want_grads) = results
    grid_size = tuple(-(-side // 8) for side in image_size)
    assert [tuple(out.shape) for out in got] == 4 * [(2, 32, *grid_size)]
    for a, b in zip(got, want, strict=True):
        assert_equal(a, b)
    for name, grad in want_grads.items():
        assert_equal(got_grads[name], grad, name)


@pytest.mark.parametrize('size', [(33, 41), (29, 64)])
def test_a_map_covers_the_image_and_no_more(size: tuple[int, int]):
    """Heads of mmseg stretch a map to the image: what lies at its end must stay there."""
    model = build()
    images = torch.randn(1, 3, *size)
    whole = [-(-side // 8) * 8 for side in size]
    resized = nn.functional.interpolate(images, whole, mode='bilinear')
    for a, b in zip(model(images), model(resized), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('size', [(8, 40), (40, 3), (1, 1)])
def test_a_pyramid_can_halve_the_map_of_any_picture(size: tuple[int, int]):
    pytest.importorskip('mmseg', reason='needs mmseg')
    from mmseg.models.necks import Feature2Pyramid
    maps = build()(torch.randn(2, 3, *size))
    assert {tuple(x.shape) for x in maps} == {(2, 32, *(max(4, -(-side // 8)) for side in size))}
    pyramid = Feature2Pyramid(32, [2, 1, 0.5, 0.25], norm_cfg=dict(type='BN')).eval()
    assert len(pyramid(maps)) == 4


def test_token_patches_cover_the_image_as_well(tmp_path: Path):
    path = save_tiny_weights(tmp_path)['tokenizer']
    model = build(patch_size=None, tokenizer=dict(model=tiny_tokenizer_cfg(), checkpoint=path))
    stride = model.patch_embed.tokenizer.description.stride
    assert model(torch.randn(1, 3, 33, 64))[0].shape[2:] == (32 // stride + 1, 64 // stride)


def test_a_smaller_image_has_the_same_biases():
    """The bias of a distance is the same, however small the image."""
    model = build()
    nn.init.zeros_(model.pos_embed)
    small = build(img_size=40)
    weights = model.state_dict()
    weights['pos_embed'] = torch.zeros_like(small.pos_embed)
    small.load_state_dict(weights)
    images = torch.randn(1, 3, 40, 40)
    for a, b in zip(small(images), model(images), strict=True):
        assert_equal(a, b)


def test_trains_after_inference():
    model = build(img_size=(24, 32))
    images = torch.randn(1, 3, 24, 32)
    kept_distance_index.cache_clear()
    with torch.inference_mode():
        model(images)
    outputs_and_grads(model, images)


def test_runs_on_the_device_of_its_weights():
    out = build().to('meta')(torch.empty(1, 3, 72, 40, device='meta'))[0]
    assert out.shape == (1, 32, 9, 5) and out.device.type == 'meta'


def test_checkpointing_changes_nothing():
    model = build(drop_path_rate=0.5)
    images = torch.randn(4, 3, 64, 64)
    results = []
    for with_cp in (False, True):
        model.with_cp = with_cp
        torch.manual_seed(1)
        results.append(outputs_and_grads(model, images))
    (plain, plain_grads), (saved, saved_grads) = results
    assert all(torch.equal(a, b) for a, b in zip(plain, saved, strict=True))
    assert all(torch.equal(grad, saved_grads[name]) for name, grad in plain_grads.items())


def test_takes_the_pretrained_encoder(tmp_path: Path):
    encoder = randomize(ADDPViT(arch=ARCH, img_size=64, patch_size=8))
    path = str(tmp_path / 'addp.pth')
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in encoder.state_dict().items()}), path)
    model = MODELS.build(dict(
        type='ADDPUperViT', **SIZES,
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.')))
    model.init_weights()
    assert torch.equal(model.pos_embed, encoder.pos_embed)
    assert torch.equal(model.layers[3].attn.qkv.weight, encoder.layers[3].attn.qkv.weight)
    layer = model.layers[0]
    assert not layer.attn.relative_position_bias_table.any()
    assert (layer.attn.gamma1.weight == 1).all() and (layer.ffn.gamma2.weight == 1).all()


def test_as_many_distances_on_another_grid(caplog: pytest.LogCaptureFixture):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    wide, square = build(img_size=(24, 184)), build(img_size=64)        # 5 * 45 = 15 * 15
    square.load_state_dict(wide.state_dict())
    table = wide.layers[0].attn.relative_position_bias_table
    assert torch.equal(square.layers[0].attn.relative_position_bias_table,
                       resize_bias_table(table, (3, 23), (8, 8)))
    assert not any('of which grid' in record.getMessage() for record in caplog.records)
    table = square.layers[0].attn.relative_position_bias_table
    wide.layers[0].attn.load_state_dict(dict(square.layers[0].attn.state_dict()))
    assert torch.equal(wide.layers[0].attn.relative_position_bias_table, table)
    assert 'They fit 3 x 23 places' in caplog.text


def test_start_is_the_plain_encoder():
    """Relative positions of zero and a scale of one change nothing of the pre-trained encoder."""
    encoder = randomize(ADDPViT(arch=ARCH, img_size=64, patch_size=8, pre_norm=False,
                                final_norm=False, drop_rate=0.))
    model = ADDPUperViT(**SIZES)
    model.load_state_dict(encoder.state_dict(), strict=False)
    images = torch.randn(1, 3, 64, 64)
    assert_equal(model(images)[-1], encoder(images)[0])


@pytest.mark.parametrize(('arch', 'taps'), [('base', (3, 5, 7, 11)), ('large', (7, 11, 15, 23))])
def test_full_size(arch: str, taps: tuple[int, ...]):
    with torch.device('meta'):
        model = ADDPUperViT(arch=arch)
    assert tuple(model.out_indices) == taps
    heads = model.layers[0].attn.num_heads
    assert model.layers[0].attn.relative_position_bias_table.shape == (63**2 + 3, heads)
    assert model.pos_embed.shape[1] == 1 + 32**2


def test_taps_must_be_named_and_there():
    with pytest.raises(ValueError, match='name out_indices'):
        ADDPUperViT(arch=ARCH)
    with pytest.raises(ValueError, match='must lie in'):
        build(out_indices=(1, 4))
