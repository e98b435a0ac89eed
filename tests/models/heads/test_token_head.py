from __future__ import annotations

import pytest
import torch

from addp_mm.diffusion import NoisySample
from addp_mm.models.heads import TokenHead
from addp_mm.models.losses import MaskedTokenLoss

SIZES = dict(in_dims=6, vocab_size=9, grid_size=(2, 3))


def test_logits_stand_at_their_places():
    head = TokenHead(**SIZES)
    features, embedding = torch.randn(2, 6, 6), torch.randn(9, 6)
    logits = head(features, embedding)
    assert logits.shape == (2, 9, 2, 3)
    flat = head.token_projection(features, embedding)
    for row in range(2):
        for col in range(3):
            assert torch.equal(logits[:, :, row, col], flat[:, 3 * row + col])


@pytest.mark.parametrize('detach', [True, False])
def test_the_embedding_learns_only_without_detach(detach: bool):
    head = TokenHead(**SIZES, detach=detach)
    embedding = torch.randn(9, 6, requires_grad=True)
    head(torch.randn(2, 6, 6), embedding).square().sum().backward()
    assert (embedding.grad is None) == detach
    assert all(p.grad is not None for p in head.parameters())


def test_width_of_the_embedding_may_differ():
    head = TokenHead(**SIZES, embed_dims=4)
    assert head(torch.randn(2, 6, 6), torch.randn(9, 4)).shape == (2, 9, 2, 3)


def test_loss_comes_from_its_config():
    logits = torch.randn(2, 9, 2, 3)
    sample = NoisySample(torch.randint(7, (2, 2, 3)), torch.ones(2, 2, 3).bool(),
                         torch.randn(2, 7, 2, 3).softmax(dim=1))
    for options in (dict(), dict(target='hard', label_smoothing=0.)):
        head = TokenHead(**SIZES, loss=dict(type='MaskedTokenLoss', **options))
        assert torch.equal(head.loss(logits, sample), MaskedTokenLoss(**options)(logits, sample))
    assert torch.equal(TokenHead(**SIZES).loss(logits, sample), MaskedTokenLoss()(logits, sample))


def test_names_and_start_values():
    head = TokenHead(in_dims=60, vocab_size=9, grid_size=(2, 3))
    head.init_weights()
    assert set(head.state_dict()) == {
        'token_projection.fc.weight', 'token_projection.fc.bias', 'token_projection.ln.weight',
        'token_projection.ln.bias', 'token_projection.bias'}
    weight = head.token_projection.fc.weight.detach()
    assert float(weight.abs().max()) == pytest.approx((6 / 120)**0.5, rel=0.03)
    assert not head.token_projection.fc.bias.any() and not head.token_projection.bias.any()
