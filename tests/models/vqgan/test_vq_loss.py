from __future__ import annotations

import math

import pytest
import torch

from addp_mm.models.vqgan import Codebook, VQLoss
from addp_mm.models.vqgan.vq_loss import entropy_loss

NUM_CODES, CODE_DIMS = 6, 3


@pytest.fixture
def codebook() -> Codebook:
    codebook = Codebook(NUM_CODES, CODE_DIMS)
    torch.nn.init.normal_(codebook.embedding.weight)
    return codebook


def test_codes_and_latents_pull_at_each_other_with_their_own_weights(codebook: Codebook):
    latents = torch.randn(2, CODE_DIMS, 2, 2, requires_grad=True)
    codes = codebook.lookup(codebook.assign(latents)).detach().requires_grad_()
    losses = VQLoss(codebook_weight=2., commitment_weight=0.25)(latents, codes, codebook)
    assert losses.keys() == {'loss_codebook', 'loss_commitment'}
    sum(losses.values()).backward()
    pull = 2 * (codes - latents).detach() / latents.numel()
    torch.testing.assert_close(codes.grad, 2. * pull)
    torch.testing.assert_close(latents.grad, -0.25 * pull)


def test_codes_without_gradient_have_no_codebook_loss(codebook: Codebook):
    codebook.requires_grad_(False)
    latents = torch.randn(1, CODE_DIMS, 2, 2, requires_grad=True)
    codes = codebook.lookup(codebook.assign(latents))
    assert VQLoss()(latents, codes, codebook).keys() == {'loss_commitment'}


def test_entropy_loss_equals_the_plain_formula(codebook: Codebook):
    latents = torch.randn(2, CODE_DIMS, 2, 2)
    codes = codebook.lookup(codebook.assign(latents))
    losses = VQLoss(entropy_weight=0.1, entropy_temperature=0.5)(latents, codes, codebook)
    points = latents.permute(0, 2, 3, 1).reshape(-1, CODE_DIMS)
    probs = (-torch.cdist(points, codebook.embedding.weight)**2 / 0.5).softmax(dim=1)
    mean = probs.mean(dim=0)
    wanted = (-(probs * (probs + 1e-5).log()).sum(dim=1).mean()
              + (mean * (mean + 1e-5).log()).sum())
    torch.testing.assert_close(losses['loss_entropy'], 0.1 * wanted)


def test_entropy_loss_prefers_certain_choices_that_use_all_codes():
    even = entropy_loss(100 * (1 - torch.eye(4)), 1.)
    same = entropy_loss(100 * (1 - torch.eye(4))[:1].expand(4, 4), 1.)
    unsure = entropy_loss(torch.zeros(4, 4), 1.)
    assert even.item() == pytest.approx(-math.log(4), abs=1e-3)
    assert same.item() == pytest.approx(0, abs=1e-3)
    assert unsure.item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize('wrong', [dict(commitment_weight=-1.), dict(entropy_temperature=0.)])
def test_wrong_weights_are_refused(wrong: dict):
    with pytest.raises(ValueError, match='at least 0'):
        VQLoss(**wrong)
