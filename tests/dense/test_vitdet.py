from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models.backbones import ViTSAM
from torch import nn

from addp_mm.dense import ADDPViTDet
from addp_mm.dense.vitdet import even_global_layers
from addp_mm.models.addp import ADDPViT
from tests.helpers.dense_peers import ARCH, assert_equal, outputs_and_grads, randomize
from tests.helpers.tiny import save_tiny_weights, tiny_tokenizer_cfg

SIZES = dict(arch=ARCH, img_size=64, pretrain_img_size=32, patch_size=8, window_size=3,
             global_attn_indexes=(1, 3))


def build(**overrides) -> ADDPViTDet:
    return randomize(ADDPViTDet(**copy.deepcopy(SIZES | overrides)))


def vitsam_of(model: ADDPViTDet) -> ViTSAM:
    """ViTSAM with the same weights; its table has as many dimensions as a feature map."""
    twin = ViTSAM(ARCH | dict(global_attn_indexes=SIZES['global_attn_indexes']), img_size=64,
                  patch_size=8, window_size=3, out_channels=0)
    weights = model.state_dict()
    weights['pos_embed'] = weights['pos_embed'].unflatten(1, model.patch_resolution)
    twin.load_state_dict(weights)
    return twin


@pytest.mark.parametrize('image_size', [(64, 64), (48, 80), (120, 24), (61, 74)])
@pytest.mark.parametrize('fused', [True, False])
def test_equals_vitsam(image_size: tuple[int, int], fused: bool):
    model = build(pretrain_img_size=64, fused=fused)
    twin = vitsam_of(model)
    images = torch.randn(2, 3, *image_size)
    (got, ), got_grads = outputs_and_grads(model, images)
    (want, ), want_grads = outputs_and_grads(twin, images)
    assert_equal(got, want)
    for name, grad in want_grads.items():
        assert_equal(got_grads[name].view_as(grad), grad, name)


def test_padding_of_windows_matters_here():
    """Else the test above would not notice a window that is masked instead of filled up."""
    model = build()
    images = torch.randn(1, 3, 64, 64)
    want, = model(images)
    for layer in model.layers:
        layer.attn.window_size = layer.attn.window_size and 4       # divides the grid of 8
    assert (model(images)[0] - want).abs().max() > 1e-3


def test_pretraining_table_is_resized_to_any_grid():
    model = build()
    assert model.pos_embed.shape == (1, 16, 32)
    assert model.layers[1].attn.rel_pos_h.shape == (15, 16)
    assert model.layers[0].attn.rel_pos_h.shape == (5, 16)
    assert [tuple(out.shape) for out in model(torch.randn(1, 3, 33, 8))] == [(1, 32, 5, 1)]


def test_images_are_filled_up_to_whole_patches():
    model = build()
    images = torch.randn(1, 3, 60, 41)
    padded = nn.functional.pad(images, (0, 7, 0, 4))
    assert torch.equal(model(images)[0], model(padded)[0])


@pytest.mark.parametrize('overrides', [{}, dict(drop_path_rate=0.5)])
def test_checkpointing_changes_nothing(overrides: dict):
    model = build(**overrides)
    images = torch.randn(4, 3, 40, 48)
    results = []
    for with_cp in (False, True):
        model.with_cp = with_cp
        torch.manual_seed(1)
        results.append(outputs_and_grads(model, images))
    (plain, plain_grads), (saved, saved_grads) = results
    assert torch.equal(plain[0], saved[0])
    assert all(torch.equal(grad, saved_grads[name]) for name, grad in plain_grads.items())


def test_checkpointing_keeps_less():
    sizes = []
    for with_cp in (False, True):
        kept = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel()
            return tensor

        model = build(with_cp=with_cp)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            model(torch.randn(2, 3, 64, 64))
        sizes.append(kept)
    assert sizes[1] < sizes[0] / 3


@pytest.mark.parametrize(('num_layers', 'want'), [
    (12, (2, 5, 8, 11)), (24, (5, 11, 17, 23)), (32, (7, 15, 23, 31)), (4, (0, 1, 2, 3)),
    (2, (0, 1)), (6, (1, 2, 4, 5))])
def test_even_global_layers(num_layers: int, want: tuple[int, ...]):
    assert even_global_layers(num_layers) == want


def test_full_size():
    with torch.device('meta'):
        model = ADDPViTDet(arch='base')
    assert [i for i, layer in enumerate(model.layers) if not layer.attn.window_size] == [2, 5, 8,
                                                                                          11]
    assert model.layers[2].attn.rel_pos_w.shape == (127, 64)
    assert model.layers[0].attn.rel_pos_w.shape == (27, 64)
    assert model.pos_embed.shape == (1, 256, 768)
    assert model.layers[0].ln1.eps == 1e-6 and not model.final_norm
    assert isinstance(model.pre_norm, nn.Identity) and model.cls_token is None


def test_takes_the_pretrained_encoder(tmp_path: Path):
    encoder = randomize(ADDPViT(arch=ARCH, img_size=32, patch_size=8))
    path = str(tmp_path / 'addp.pth')
    torch.save(dict(state_dict={f'backbone.{k}': v for k, v in encoder.state_dict().items()}), path)
    model = MODELS.build(dict(
        type='ADDPViTDet', **SIZES,
        init_cfg=dict(type='Pretrained', checkpoint=path, prefix='backbone.')))
    model.init_weights()
    assert torch.equal(model.pos_embed, encoder.pos_embed[:, 1:])
    for name in ('attn.qkv.weight', 'attn.proj.bias', 'ffn.layers.1.weight', 'ln2.weight'):
        key = f'layers.2.{name}'
        assert torch.equal(model.state_dict()[key], encoder.state_dict()[key])
    assert not any(p.any() for n, p in model.named_parameters() if 'rel_pos' in n)


def test_reads_tokens(tmp_path: Path):
    path = save_tiny_weights(tmp_path)['tokenizer']
    model = ADDPViTDet(arch=ARCH, img_size=64, pretrain_img_size=32, window_size=3,
                       tokenizer=dict(model=tiny_tokenizer_cfg(), checkpoint=path))
    model.init_weights()
    out, = model(torch.randn(1, 3, 48, 64))
    assert out.shape == (1, 32, 6, 8)
    assert model.get_layer_depth('backbone.patch_embed.embedding.weight', 'backbone.') == (0, 6)
    out.square().mean().backward()
    assert model.patch_embed.embedding.weight.grad.any()


def test_relative_positions_of_another_size_are_loaded():
    """As ViTSAM does it, so that a detector can go on at another size."""
    model, other = build(), build(img_size=96)
    weights = model.state_dict()
    other.load_state_dict({k: v.clone() for k, v in weights.items()})
    twin = ViTSAM(ARCH | dict(global_attn_indexes=SIZES['global_attn_indexes']), img_size=96,
                  patch_size=8, window_size=3, out_channels=0)
    table = weights.pop('pos_embed')
    twin.load_state_dict(weights | dict(pos_embed=table.unflatten(1, (4, 4))))
    for name in ('layers.1.attn.rel_pos_h', 'layers.0.attn.rel_pos_w'):
        torch.testing.assert_close(other.state_dict()[name], twin.state_dict()[name])


def test_runs_on_the_device_of_its_weights():
    """Also the way of a GPU: a tensor made on the CPU would not mix with these."""
    model = build(pretrain_img_size=40).to('meta')
    out, = model(torch.empty(1, 3, 50, 64, device='meta'))
    assert out.shape == (1, 32, 7, 8) and out.device.type == 'meta'


def test_a_file_without_the_encoder_stops(tmp_path: Path):
    path = str(tmp_path / 'other.pth')
    torch.save(dict(state_dict={'decode_head.weight': torch.zeros(3)}), path)
    model = ADDPViTDet(**SIZES, init_cfg=dict(type='Pretrained', checkpoint=path))
    with pytest.raises(ValueError, match='51 of its 59 tensors are not in the file'):
        model.init_weights()


def test_layer_depths():
    model = build()
    depths = {name: model.get_layer_depth(f'backbone.{name}', 'backbone.')
              for name, _ in model.named_parameters()}
    assert depths['pos_embed'] == depths['patch_embed.projection.weight'] == (0, 6)
    assert depths['layers.2.attn.rel_pos_h'] == depths['layers.2.attn.qkv.bias'] == (3, 6)
    assert model.get_layer_depth('neck.convs.0.0.conv.weight', 'backbone.') == (5, 6)


def test_frozen_layers_have_frozen_relative_positions():
    model = build(frozen_stages=2)
    learned = {name for name, p in model.named_parameters() if p.requires_grad}
    assert 'layers.1.attn.rel_pos_h' not in learned and 'layers.2.attn.rel_pos_h' in learned


def test_frozen_layers_drop_no_paths():
    model = build(frozen_stages=4, drop_path_rate=0.5).train()
    images = torch.randn(8, 3, 64, 64)
    assert torch.equal(model(images)[0], model(images)[0])
    partly = build(frozen_stages=2, drop_path_rate=0.5).train()
    assert [layer.training for layer in partly.layers] == [False, False, True, True]
    assert not torch.equal(partly(images)[0], partly(images)[0])


@pytest.mark.parametrize(('options', 'words'), [
    (dict(frozen_stages=12), 'frozen_stages must be at most 4'),
    (dict(window_size=-4), 'window_size must be a number of patches')])
def test_layers_and_windows_that_cannot_be(options: dict, words: str):
    with pytest.raises(ValueError, match=words):
        build(**options)


def test_a_global_layer_that_is_not_there():
    with pytest.raises(ValueError, match='global_attn_indexes'):
        build(global_attn_indexes=(1, 4))
