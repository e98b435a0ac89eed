from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import nn

from addp_mm.models.layers import (
    TokenProjection,
    TransformerLayer,
    TransformerLayers,
    init_table,
    init_transformer_weights,
)


@pytest.fixture
def layer() -> TransformerLayer:
    layer = TransformerLayer(embed_dims=8, num_heads=2, drop_rate=0.3).eval()
    for param in layer.parameters():
        nn.init.normal_(param, std=0.5)
    return layer.requires_grad_(False)


def test_is_mmpretrains_layer(layer: TransformerLayer):
    parent = TransformerEncoderLayer(8, 2, 32, norm_cfg=dict(type='LN', eps=1e-6)).eval()
    parent.load_state_dict(layer.state_dict())
    tokens = torch.randn(2, 5, 8)
    assert torch.equal(layer(tokens), parent(tokens))


def test_by_hand(layer: TransformerLayer):
    tokens = torch.randn(3, 5, 8)
    normed = F.layer_norm(tokens, (8, ), layer.ln1.weight, layer.ln1.bias, eps=1e-6)
    q, k, v = F.linear(normed, layer.attn.qkv.weight, layer.attn.qkv.bias).split(8, dim=2)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        attention = (q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(4)).softmax(dim=2)
        heads.append(attention @ v[..., part])
    out = tokens + layer.attn.proj(torch.cat(heads, dim=2))
    hidden = F.gelu(layer.ffn.layers[0][0](layer.ln2(out)))          # exact, not the tanh form
    wanted = out + layer.ffn.layers[1](hidden)
    torch.testing.assert_close(layer(tokens), wanted)


def test_a_mask_without_padding_changes_nothing(layer: TransformerLayer):
    tokens = torch.randn(2, 5, 8)
    masked = layer(tokens, torch.zeros(2, 5, dtype=torch.bool))
    torch.testing.assert_close(masked, layer(tokens))


def test_padding_is_as_if_the_token_were_not_there(layer: TransformerLayer):
    tokens = torch.randn(2, 5, 8)
    padding = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 0]], dtype=torch.bool)
    out = layer(tokens, padding)
    torch.testing.assert_close(out[:1, :3], layer(tokens[:1, :3]))
    torch.testing.assert_close(out[1:], layer(tokens[1:]))
    assert out.isfinite().all()


@pytest.mark.parametrize('padding', [None, torch.zeros(2, 5, dtype=torch.bool)])
@pytest.mark.parametrize('part', ['attention', 'projection', 'feed-forward'])
def test_each_dropout_acts_in_training_only(layer: TransformerLayer, padding: torch.Tensor | None,
                                            part: str):
    dropouts = [m for m in layer.modules() if isinstance(m, nn.Dropout)]
    assert [d.p for d in dropouts if d.p] == [0.3] * 3 and layer.attn.attn_drop == 0.3
    layer.attn.attn_drop = 0.3 * (part == 'attention')
    layer.attn.proj_drop.p = 0.3 * (part == 'projection')
    for dropout in layer.ffn.modules():
        if isinstance(dropout, nn.Dropout):
            dropout.p = 0.3 * (part == 'feed-forward')
    tokens = torch.randn(2, 5, 8)
    assert torch.equal(layer(tokens, padding), layer(tokens, padding))
    layer.train()
    assert not torch.allclose(layer(tokens, padding), layer(tokens, padding))


def test_names_of_the_parameters():
    names = {n for n, _ in TransformerLayers(2, 8, 2).named_parameters()}
    parts = ('ln1', 'attn.qkv', 'attn.proj', 'ln2', 'ffn.layers.0.0', 'ffn.layers.1')
    assert names == {f'{i}.{part}.{kind}' for i in (0, 1) for part in parts
                     for kind in ('weight', 'bias')}


def test_a_stack_runs_every_layer():
    layers = TransformerLayers(3, 8, 2).eval()
    tokens, padding = torch.randn(2, 4, 8), torch.tensor([[0, 0, 0, 1]] * 2, dtype=torch.bool)
    out = layers(tokens, padding)
    for layer in layers:
        tokens = layer(tokens, padding)
    assert torch.equal(out, tokens)


def test_a_stack_needs_a_layer():
    with pytest.raises(ValueError, match='at least one layer, got depth=0'):
        TransformerLayers(0, 8, 2)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match='num_heads=3, embed_dims=8'):
        TransformerLayer(8, 3)


def test_start_values():
    layers = nn.Sequential(TransformerLayers(1, 64, 2), nn.Linear(64, 8, bias=False))
    for param in layers.parameters():
        nn.init.constant_(param, 5.)
    init_transformer_weights(layers)
    layer = layers[0][0]
    for linear in (layer.attn.qkv, layer.attn.proj, layer.ffn.layers[0][0], layers[1]):
        bound = math.sqrt(6 / (linear.in_features + linear.out_features))
        weight = linear.weight.detach()
        assert 0.95 * bound < float(weight.abs().max()) <= bound
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert linear.bias is None or not linear.bias.any()
    assert bool((layer.ln1.weight == 1).all()) and not layer.ln1.bias.any()


def test_start_values_of_a_table():
    table = nn.Parameter(torch.full((1, 100, 50), 3.))
    init_table(table)
    assert float(table.detach().mean()) == pytest.approx(0, abs=0.002)
    assert float(table.detach().std()) == pytest.approx(0.02, rel=0.05)


def test_logits_by_hand():
    projection = TokenProjection(in_dims=6, embed_dims=4, vocab_size=9)
    torch.nn.init.normal_(projection.bias)
    torch.nn.init.normal_(projection.ln.weight)
    features, embedding = torch.randn(2, 5, 6), torch.randn(9, 4)
    logits = projection(features, embedding)
    hidden = F.gelu(features @ projection.fc.weight.t() + projection.fc.bias)
    centred = hidden - hidden.mean(-1, keepdim=True)
    normed = centred / (hidden.var(-1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    hidden = normed * projection.ln.weight + projection.ln.bias
    assert logits.shape == (2, 5, 9)
    torch.testing.assert_close(logits, hidden @ embedding.t() + projection.bias)


def test_the_embedding_learns_only_where_it_is_not_detached():
    for detach in (True, False):
        embedding = torch.randn(9, 4, requires_grad=True)
        projection = TokenProjection(6, 4, 9, detach=detach)
        projection(torch.randn(2, 5, 6), embedding).sum().backward()
        assert (embedding.grad is None) == detach
        assert all(p.grad is not None for p in projection.parameters())
