from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from addp_mm.diffusion import NoisySample
from addp_mm.models.losses import VAL_RATIOS, score_masked_tokens, val_generator


def test_score_is_the_summed_cross_entropy_of_the_true_ids():
    logits, ids = torch.randn(2, 5, 3, 4).bfloat16(), torch.randint(5, (2, 3, 4))
    mask = torch.rand(2, 3, 4) < 0.6
    score = score_masked_tokens(logits, NoisySample(ids, mask), 0.6)
    assert score.keys() == {'ratio', 'loss', 'count', 'token_ids'}
    assert score['ratio'] == 0.6 and score['count'] == int(mask.sum()) > 0
    log_probs = logits.float().log_softmax(dim=1)
    by_hand = -sum(float(log_probs[n, ids[n, r, c], r, c]) for n, r, c in mask.nonzero().tolist())
    assert score['loss'] == pytest.approx(by_hand, rel=1e-5)
    assert torch.equal(score['token_ids'], ids)


def test_score_of_nothing_masked():
    score = score_masked_tokens(torch.randn(1, 5, 2, 2), NoisySample(
        torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.bool)), 0.)
    assert score['loss'] == 0 and score['count'] == 0


def test_a_perfect_prediction_scores_zero():
    ids = torch.randint(5, (2, 3, 4))
    logits = 100 * F.one_hot(ids, 5).permute(0, 3, 1, 2).float()
    score = score_masked_tokens(logits, NoisySample(ids, torch.ones_like(ids).bool()), 1.)
    assert score['loss'] == pytest.approx(0, abs=1e-6) and score['count'] == 24


def test_generators_repeat_and_differ_between_ratios():
    state = torch.get_rng_state()
    cpu = torch.device('cpu')
    draws = [torch.rand(4, generator=val_generator(r, cpu)) for r in (*VAL_RATIOS, 0.55)]
    assert torch.equal(draws[0], draws[-1])
    assert len({tuple(d.tolist()) for d in draws}) == len(VAL_RATIOS)
    assert torch.equal(torch.get_rng_state(), state)
