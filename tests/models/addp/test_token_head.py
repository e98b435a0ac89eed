from __future__ import annotations

import pytest
import torch

from addp_mm.diffusion import NoisySample
from addp_mm.models.addp import TokenHead
from addp_mm.models.layers import MaskedTokenLoss

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


def sample_with(num_reliable: int | tuple[int, int] | None) -> NoisySample:
    noise = torch.rand(2, 6).argsort(dim=1).argsort(dim=1).view(2, 2, 3)
    counts = torch.tensor((2, 5) if num_reliable is None else num_reliable)
    counts = counts.view(-1, 1, 1)
    return NoisySample(torch.randint(7, (2, 2, 3)), noise >= counts,
                       torch.randn(2, 7, 2, 3).softmax(dim=1), num_reliable)


LOSSES = [dict(), dict(target='hard', label_smoothing=0.), dict(target='both')]


@pytest.mark.parametrize('options', LOSSES)
@pytest.mark.parametrize('bucket', [1, 4])
@pytest.mark.parametrize('num_reliable', [0, 2, 5, (2, 5), None])
def test_loss_needs_logits_at_masked_places_only(options: dict, bucket: int,
                                                 num_reliable: int | tuple[int, int] | None):
    head = TokenHead(**SIZES, bucket=bucket, loss=dict(type='MaskedTokenLoss', **options))
    sample, embedding = sample_with(num_reliable), torch.randn(9, 6)
    features = torch.randn(2, 6, 6, requires_grad=True)
    gradients = []
    for value in (head.loss(features, embedding, sample),
                  MaskedTokenLoss(**options)(head(features, embedding), sample)):
        gradients.append((value, *torch.autograd.grad(value, [features, *head.parameters()])))
    for ours, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, plain)


@pytest.mark.parametrize(('bucket', 'num_reliable', 'wanted'), [
    (1, 2, 4), (4, 2, 4), (4, 5, 4), (4, 1, 6), (1, (3, 5), 3), (1, None, 6)
])
def test_places_that_are_projected(bucket: int, num_reliable: int | tuple[int, int] | None,
                                   wanted: int):
    head, seen = TokenHead(**SIZES, bucket=bucket), []
    head.token_projection.register_forward_pre_hook(lambda _, args: seen.append(args[0].shape))
    head.loss(torch.randn(2, 6, 6), torch.randn(9, 6), sample_with(num_reliable))
    assert seen == [(2, wanted, 6)]


def test_names_and_start_values():
    head = TokenHead(in_dims=60, vocab_size=9, grid_size=(2, 3))
    head.init_weights()
    assert set(head.state_dict()) == {
        'token_projection.fc.weight', 'token_projection.fc.bias', 'token_projection.ln.weight',
        'token_projection.ln.bias', 'token_projection.bias'}
    weight = head.token_projection.fc.weight.detach()
    assert float(weight.abs().max()) == pytest.approx((6 / 120)**0.5, rel=0.03)
    assert not head.token_projection.fc.bias.any() and not head.token_projection.bias.any()
