from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from addp_mm.diffusion import NoisySample
from addp_mm.models.layers import VAL_RATIOS, MaskedTokenLoss, score_masked_tokens, val_generators

NUM_CODES, VOCAB = 7, 11


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(3, VOCAB, 2, 4)


@pytest.fixture
def sample() -> NoisySample:
    """Images with 1, 4 and 8 masked places."""
    mask = torch.arange(8).expand(3, -1).lt(torch.tensor([1, 4, 8])[:, None]).view(3, 2, 4)
    return NoisySample(torch.randint(NUM_CODES, (3, 2, 4)), mask,
                       torch.randn(3, NUM_CODES, 2, 4).mul(2).softmax(dim=1))


def reference_loss(logits: Tensor, target: Tensor, mask: Tensor, smoothing: float) -> Tensor:
    """torch's own loss of each masked place, averaged over the batch's masked places."""
    losses = F.cross_entropy(logits, target, reduction='none', label_smoothing=smoothing)
    return losses[mask].mean()


def padded(probs: Tensor) -> Tensor:
    return F.pad(probs, (0, 0, 0, 0, 0, VOCAB - NUM_CODES))


@pytest.mark.parametrize('smoothing', [0., 0.1, 0.5])
def test_soft_target_is_torchs_cross_entropy(logits: Tensor, sample: NoisySample,
                                             smoothing: float):
    loss = MaskedTokenLoss(label_smoothing=smoothing)(logits, sample)
    wanted = reference_loss(logits, padded(sample.target_probs), sample.mask, smoothing)
    torch.testing.assert_close(loss, wanted)
    assert loss.ndim == 0


@pytest.mark.parametrize('smoothing', [0., 0.1])
def test_hard_target_is_torchs_cross_entropy(logits: Tensor, sample: NoisySample,
                                             smoothing: float):
    loss = MaskedTokenLoss('hard', smoothing)(logits, sample)
    wanted = reference_loss(logits, sample.token_ids, sample.mask, smoothing)
    torch.testing.assert_close(loss, wanted)


def test_both_is_the_sum(logits: Tensor, sample: NoisySample):
    both, soft, hard = (MaskedTokenLoss(t)(logits, sample) for t in ('both', 'soft', 'hard'))
    torch.testing.assert_close(both, soft + hard)


def test_defaults():
    loss = MaskedTokenLoss()
    assert (loss.target, loss.label_smoothing) == ('soft', 0.1)


@pytest.mark.parametrize('target', ['soft', 'hard', 'both'])
def test_reliable_places_do_not_count(logits: Tensor, sample: NoisySample, target: str):
    loss = MaskedTokenLoss(target)(logits, sample)
    elsewhere = torch.where(sample.mask[:, None], logits, logits * 3 + 1)
    assert torch.equal(MaskedTokenLoss(target)(elsewhere, sample), loss)
    logits.requires_grad_(True)
    MaskedTokenLoss(target)(logits, sample).backward()
    moved = logits.grad.abs().sum(dim=1) > 0
    assert torch.equal(moved, sample.mask)


def test_smoothing_reaches_the_rows_beyond_the_codes(logits: Tensor, sample: NoisySample):
    logits.requires_grad_(True)
    MaskedTokenLoss()(logits, sample).backward()
    # d loss / d logit = (softmax - target) / masked places; the target is 0.1 / V there.
    wanted = (logits.detach().softmax(dim=1) - 0.1 / VOCAB) / sample.mask.sum()
    rows = slice(NUM_CODES, VOCAB)
    torch.testing.assert_close(logits.grad[:, rows], (wanted * sample.mask[:, None])[:, rows])


def test_value_where_everything_is_equally_likely(sample: NoisySample):
    for target, times in (('soft', 1), ('hard', 1), ('both', 2)):
        loss = MaskedTokenLoss(target)(torch.zeros(3, VOCAB, 2, 4), sample)
        assert float(loss) == pytest.approx(times * math.log(VOCAB))


def test_half_precision_logits_are_scored_in_float32(logits: Tensor, sample: NoisySample):
    half = (20 * logits).bfloat16()
    loss = MaskedTokenLoss()(half, sample)
    assert loss.dtype == torch.float32
    assert torch.equal(loss, MaskedTokenLoss()(half.float(), sample))
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert torch.equal(MaskedTokenLoss()(half, sample), loss)


def test_wrong_arguments(logits: Tensor, sample: NoisySample):
    with pytest.raises(ValueError, match="'soft', 'hard', 'both'.* got 'ids'"):
        MaskedTokenLoss('ids')
    for smoothing in (-0.1, 1.):
        with pytest.raises(ValueError, match=r'label_smoothing must lie in \[0, 1\), got'):
            MaskedTokenLoss(label_smoothing=smoothing)
    sample.target_probs = None
    with pytest.raises(ValueError, match="target='soft' needs the distribution"):
        MaskedTokenLoss()(logits, sample)
    assert MaskedTokenLoss('hard')(logits, sample).isfinite()


def test_score_is_the_summed_cross_entropy_of_the_true_ids():
    logits, ids = torch.randn(2, 5, 3, 4).bfloat16(), torch.randint(5, (2, 3, 4))
    mask = torch.rand(2, 3, 4) < 0.6
    score = score_masked_tokens(logits, NoisySample(ids, mask), 0.6)
    assert score.keys() == {'ratio', 'loss', 'count', 'token_ids'}
    assert score['ratio'] == 0.6 and score['count'].tolist() == mask.flatten(1).sum(dim=1).tolist()
    assert int(score['count'].sum()) > 0
    log_probs = logits.float().log_softmax(dim=1)
    by_hand = -sum(float(log_probs[n, ids[n, r, c], r, c]) for n, r, c in mask.nonzero().tolist())
    assert float(score['loss'].sum()) == pytest.approx(by_hand, rel=1e-5)
    assert torch.equal(score['token_ids'], ids)


def test_score_of_nothing_masked():
    score = score_masked_tokens(torch.randn(1, 5, 2, 2), NoisySample(
        torch.zeros(1, 2, 2, dtype=torch.long), torch.zeros(1, 2, 2, dtype=torch.bool)), 0.)
    assert score['loss'] == 0 and score['count'] == 0


def test_a_perfect_prediction_scores_zero():
    ids = torch.randint(5, (2, 3, 4))
    logits = 100 * F.one_hot(ids, 5).permute(0, 3, 1, 2).float()
    score = score_masked_tokens(logits, NoisySample(ids, torch.ones_like(ids).bool()), 1.)
    assert score['loss'].tolist() == pytest.approx([0, 0], abs=1e-6)
    assert score['count'].tolist() == [12, 12]


def test_generators_repeat_and_differ_between_ratios():
    state = torch.get_rng_state()
    draws = [torch.rand(4, generator=val_generators(r, None, 1)[0]) for r in (*VAL_RATIOS, 0.55)]
    assert torch.equal(draws[0], draws[-1])
    assert len({tuple(d.tolist()) for d in draws}) == len(VAL_RATIOS)
    assert torch.equal(torch.get_rng_state(), state)
