from __future__ import annotations

import copy
from pathlib import Path

import pytest
import timm
import torch
from mmengine.model import PretrainedInit
from mmpretrain.models.backbones import VisionTransformer
from torch import Tensor, nn

from addp_mm.checkpoints import resize_position_table
from addp_mm.diffusion import NoisySample
from addp_mm.models.addp import ADDPViT
from addp_mm.registry import MODELS

ARCH = dict(embed_dims=32, num_layers=3, num_heads=2, feedforward_channels=64)
SIZES = dict(arch=ARCH, img_size=(32, 48), patch_size=8)
GRID = (4, 6)


def build(**kwargs) -> ADDPViT:
    model = ADDPViT(**(copy.deepcopy(SIZES) | kwargs))
    for param in model.parameters():
        nn.init.normal_(param, std=0.2)
    model.requires_grad_(False).eval()                # mmpretrain's eval() does not return self
    return model


def build_parent(weights: dict[str, Tensor], **kwargs) -> VisionTransformer:
    """mmpretrain's own class, with the weights of an ADDPViT."""
    options = dict(pre_norm=True, out_type='featmap', patch_cfg=dict(bias=True)) | kwargs
    parent = VisionTransformer(**copy.deepcopy(SIZES), **options)
    parent.load_state_dict(weights, strict=True)
    parent.eval()
    return parent


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture
def images() -> Tensor:
    return torch.randn(2, 3, 32, 48)


@pytest.fixture
def sample() -> NoisySample:
    """Nine of the 24 tokens of each image are reliable."""
    mask = torch.rand(2, 24).argsort(dim=1).lt(15).view(2, *GRID)
    return NoisySample(torch.randint(10, (2, *GRID)), mask, num_reliable=9)


@pytest.mark.parametrize(('arch', 'size'), [
    ('base', 85_844_736 + 1_536), ('large', 303_363_072 + 2_048)
])
def test_size_of_the_released_encoders(arch: str, size: int):
    with torch.device('meta'):
        model = ADDPViT(arch=arch, img_size=256, patch_size=16)
    assert count(model) == size
    assert model.pos_embed.shape[1] == 257


@pytest.mark.parametrize('out_type', ['featmap', 'raw', 'cls_token', 'avg_featmap'])
def test_is_mmpretrains_vit_in_eval(images: Tensor, out_type: str):
    model = build(out_type=out_type, out_indices=[0, 2])
    parent = build_parent(model.state_dict(), out_type=out_type, out_indices=[0, 2])
    ours, theirs = model(images), parent(images)
    assert len(ours) == len(theirs) == 2
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize('kwargs', [dict(pre_norm=False), dict(with_cls_token=False),
                                    dict(final_norm=False)])
def test_is_mmpretrains_vit_in_other_forms(images: Tensor, kwargs: dict):
    model = build(**kwargs)
    parent = build_parent(model.state_dict(), **kwargs)
    assert torch.equal(model(images)[0], parent(images)[0])
    assert model(images)[0].shape == (2, 32, *GRID)


def test_names_of_the_parameters():
    def pair(*names: str) -> set[str]:
        return {f'{name}.{kind}' for name in names for kind in ('weight', 'bias')}

    keys = {'cls_token', 'pos_embed'} | pair('patch_embed.projection', 'pre_norm', 'ln1')
    for i in range(3):
        keys |= pair(*(f'layers.{i}.{part}' for part in (
            'ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')))
    assert set(build().state_dict()) == keys


@pytest.mark.parametrize('takes_tokens', [False, True])
def test_dropout_follows_pre_norm(images: Tensor, sample: NoisySample, takes_tokens: bool):
    model = build(drop_rate=0.25, token_vocab=10 if takes_tokens else None)
    model.train()
    normed, dropped = [], []
    model.pre_norm.register_forward_hook(lambda _, __, out: normed.append(out))
    model.layers[0].register_forward_pre_hook(lambda _, args: dropped.append(args[0]))
    model(images, sample)
    zeros = dropped[0] == 0
    assert float(zeros.float().mean()) == pytest.approx(0.25, abs=0.05)
    torch.testing.assert_close(dropped[0][~zeros], normed[0][~zeros] / 0.75)


def test_dropout_in_every_layer_and_in_attention():
    model = build(drop_rate=0.25)
    for layer in model.layers:
        rates = [m.p for m in layer.modules() if isinstance(m, nn.Dropout) and m.p]
        assert layer.attn.attn_drop == 0.25 and rates == [0.25] * 3
    assert ADDPViT(**copy.deepcopy(SIZES)).drop_after_pos.p == 0.1


def test_reliable_tokens_are_read_beside_the_pixels(images: Tensor, sample: NoisySample):
    model = build(token_vocab=10)
    read = []
    model.pre_norm.register_forward_pre_hook(lambda _, args: read.append(args[0]))
    features, = model(images, sample)
    assert features.shape == (2, 32, *GRID) and read[0].shape == (2, 1 + 24 + 9, 32)
    for n in range(2):
        places = [i for i in range(24) if not sample.mask[n].flatten()[i]]
        for r, place in enumerate(places):
            word = model.token_embed.weight[sample.token_ids[n].flatten()[place]]
            torch.testing.assert_close(read[0][n, 1 + 24 + r],
                                       word + model.token_pos_embed[0, 1 + place])
    pixels, = model(images)
    assert read[1].shape == (2, 1 + 24, 32) and torch.equal(read[1], read[0][:, :25])
    assert not torch.allclose(pixels, features, atol=1e-3)


def test_masked_ids_are_not_read(images: Tensor, sample: NoisySample):
    model = build(token_vocab=10)
    features, = model(images, sample)
    others = (sample.token_ids + 1) % 10
    masked = NoisySample(torch.where(sample.mask, others, sample.token_ids), sample.mask,
                         num_reliable=9)
    assert torch.equal(model(images, masked)[0], features)
    reliable = NoisySample(torch.where(sample.mask, sample.token_ids, others), sample.mask,
                           num_reliable=9)
    assert not torch.allclose(model(images, reliable)[0], features, atol=1e-3)


def test_pixels_only_reads_no_tokens(images: Tensor, sample: NoisySample):
    model = build()
    assert not model.takes_tokens
    assert torch.equal(model(images, sample)[0], model(images)[0])


def test_tokens_that_do_not_fit(images: Tensor, sample: NoisySample):
    model = build(token_vocab=10)
    sample.num_reliable = None
    with pytest.raises(ValueError, match='same mask ratio for every .*per_image=False'):
        sample.mask[0] = True
        model(images, sample)
    with pytest.raises(ValueError, match=r'got \(4, 6\) patches and \(4, 4\) tokens'):
        model(images, NoisySample(sample.token_ids[..., :4], sample.mask[..., :4],
                                  num_reliable=1))


@pytest.mark.parametrize('with_cls_token', [True, False])
def test_a_token_encoder_loads_its_own_weights(images: Tensor, sample: NoisySample,
                                               with_cls_token: bool):
    model = build(token_vocab=10, with_cls_token=with_cls_token)
    twin = build(token_vocab=10, with_cls_token=with_cls_token)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin(images, sample)[0], model(images, sample)[0])


def test_weights_of_another_grid_load():
    small = build(token_vocab=10, img_size=32)
    large = build(token_vocab=10)
    large.load_state_dict(small.state_dict())
    for name in ('pos_embed', 'token_pos_embed'):
        resized, table = getattr(large, name), getattr(small, name)
        assert resized.shape == (1, 25, 32)
        assert torch.equal(resized[:, 0], table[:, 0])
        # Four rows stay four; the columns go from four to six.
        torch.testing.assert_close(resized[0, 1:].view(4, 6, 32).mean(dim=1),
                                   table[0, 1:].view(4, 4, 32).mean(dim=1), atol=0.15, rtol=0)


def test_other_image_sizes(images: Tensor):
    features, = build()(torch.randn(1, 3, 48, 64))
    assert features.shape == (1, 32, 6, 8)


def test_start_values():
    model = ADDPViT(**copy.deepcopy(SIZES), token_vocab=40)
    model.init_weights()
    for table in (model.pos_embed, model.token_pos_embed, model.token_embed.weight):
        assert float(table.detach().std()) == pytest.approx(0.02, rel=0.15)
    assert 0.01 < float(model.cls_token.detach().std()) < 0.03
    weight = model.patch_embed.projection.weight.detach()
    bound = (6 / (3 * 8 * 8 + 32))**0.5                   # of a linear layer on flat patches
    assert 0.97 * bound < float(weight.abs().max()) <= bound
    assert not model.patch_embed.projection.bias.any() and not model.layers[0].attn.qkv.bias.any()
    qkv = model.layers[0].attn.qkv.weight.detach()
    assert float(qkv.abs().max()) == pytest.approx((6 / (32 + 96))**0.5, rel=0.03)


@pytest.mark.parametrize('form', ['dict', 'list', 'class'])
def test_named_weights_are_kept(tmp_path: Path, form: str):
    model = build()
    path = str(tmp_path / 'vit.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    init_cfg = dict(type=PretrainedInit if form == 'class' else 'Pretrained', checkpoint=path)
    twin = ADDPViT(**copy.deepcopy(SIZES), init_cfg=[init_cfg] if form == 'list' else init_cfg)
    twin.init_weights()
    assert all(torch.equal(v, twin.state_dict()[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize(('name', 'depth'), [
    ('cls_token', 0), ('pos_embed', 0), ('patch_embed.projection.bias', 0), ('pre_norm.weight', 0),
    ('token_embed.weight', 0), ('token_pos_embed', 0), ('layers.0.ln1.weight', 1),
    ('layers.2.ffn.layers.1.bias', 3), ('ln1.weight', 4)
])
def test_depths_of_layer_wise_decay(name: str, depth: int):
    model = build(token_vocab=10)
    assert name in dict(model.named_parameters())
    assert model.get_layer_depth(f'backbone.{name}', 'backbone.') == (depth, 5)
    assert model.get_layer_depth('head.fc.weight', 'backbone.') == (4, 5)
    assert model.get_layer_depth('pre_norm.weight', 'backbone.') == (4, 5)    # of another part


def timm_weights(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a classifier by timm's names."""
    renames = {'backbone.': '', 'projection.': 'proj.', 'layers.0.0.': 'fc1.', 'ffn.layers.1.':
               'mlp.fc2.', 'ffn.': 'mlp.', 'layers.': 'blocks.', 'head.fc.': 'head.'}
    named = {}
    for name, tensor in weights.items():
        for ours, theirs in renames.items():
            name = name.replace(ours, theirs)
        inner = name.replace('.ln', '.norm')
        named[inner.replace('ln2.', 'fc_norm.') if name.startswith('ln2') else inner] = tensor
    return named


@torch.no_grad()
@pytest.mark.parametrize('size', [224, 384, (224, 320)])
def test_a_classifier_is_timms_vit(size: int | tuple[int, int]):
    """With ``final_norm=False``, as the reference fine-tunes: one norm, after pooling."""
    arch = dict(embed_dims=192, num_layers=2, num_heads=3, feedforward_channels=768)
    classifier = MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(type='ADDPViT', arch=arch, img_size=224, pre_norm=False, final_norm=False,
                      out_type='avg_featmap'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=192)))
    for param in classifier.parameters():
        nn.init.normal_(param, std=0.1)
    weights = timm_weights(classifier.state_dict())
    height, width = (size, size) if isinstance(size, int) else size
    weights['pos_embed'] = resize_position_table(weights['pos_embed'], (height // 16, width // 16))
    reference = timm.models.VisionTransformer(
        img_size=(height, width), embed_dim=192, depth=2, num_heads=3, num_classes=10,
        global_pool='avg')
    reference.load_state_dict(weights, strict=True)
    images = torch.randn(2, 3, height, width)
    logits = classifier.eval()(images, mode='tensor')
    wanted = reference.eval()(images)
    assert wanted.isfinite().all() and (wanted[0] - wanted[1]).abs().max() > 1e-3
    assert (logits - wanted).abs().max() < 1e-5 * max(1, float(wanted.abs().max()))


def test_patches_and_heads_must_fit() -> None:
    arch = dict(embed_dims=32, num_layers=1, num_heads=2, feedforward_channels=64)
    with pytest.raises(ValueError, match='patch_size must divide the size of the images'):
        ADDPViT(arch=arch, img_size=32, patch_size=7)
    with pytest.raises(ValueError, match='num_heads must divide embed_dims, got 5 and 32'):
        ADDPViT(arch=arch | dict(num_heads=5), img_size=32, patch_size=8)
