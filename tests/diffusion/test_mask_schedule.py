from __future__ import annotations

import math

import pytest
import torch

from addp_mm.diffusion import (
    FixedMaskRatio,
    MaskRatioDistribution,
    TruncatedNormalMaskRatio,
    cosine_ratio,
    linear_ratio,
    num_masked,
)

# Masked tokens out of 256 at each of the reference release's ratios.
COUNTS = [
    131, 134, 138, 141, 144, 148, 151, 154, 157, 161, 164, 167, 170, 173, 176, 179, 182, 184, 187,
    190, 193, 195, 198, 200, 203, 205, 208, 210, 212, 214, 217, 219, 221, 223, 225, 227, 229, 230,
    232, 234, 235, 237, 239, 240, 241, 243, 244, 245, 246, 247, 248, 249, 250, 251, 252, 253, 253,
    254, 254, 255, 255, 256, 256, 256, 256, 256
]


@pytest.fixture(scope='module')
def reference() -> MaskRatioDistribution:
    return MaskRatioDistribution()


@pytest.fixture(scope='module')
def pairs(reference: MaskRatioDistribution) -> torch.Tensor:
    """Indices (2000, 2) into the table of ratios of 2000 draws."""
    index = {float(r): i for i, r in enumerate(reference.ratios)}
    rng = torch.Generator().manual_seed(0)
    return torch.tensor([[index[r] for r in reference.sample(rng)] for _ in range(2000)])


def test_schedules():
    assert cosine_ratio(0.) == 1. and cosine_ratio(1.) == pytest.approx(0, abs=1e-15)
    assert cosine_ratio(0.5) == pytest.approx(math.sqrt(0.5))
    assert [linear_ratio(p) for p in (0., 0.25, 1.)] == [1., 0.75, 0.]


def test_table_of_the_reference_release(reference: MaskRatioDistribution):
    ratios, probs = reference.ratios, reference.probs
    assert len(ratios) == len(probs) == 66
    assert ratios.dtype == torch.float32 and probs.dtype == torch.float64
    assert [num_masked(float(r), 256) for r in ratios] == COUNTS
    table = {0: (0.5090414, 0.0280648), 1: (0.5224986, 0.0282725), 2: (0.5358267, 0.0283984),
             3: (0.5490228, 0.0284438), 63: (0.9988899, 0.0056742), 64: (0.9995065, 0.0056491),
             65: (0.9998766, 0.0056340)}
    for i, (ratio, prob) in table.items():
        assert float(ratios[i]) == pytest.approx(ratio, abs=1.2e-7)      # 2 ulp
        assert float(probs[i]) == pytest.approx(prob, abs=1e-7)
    assert int(probs.argmax()) == 3


def test_moments_of_the_reference_release(reference: MaskRatioDistribution):
    probs, counts = reference.probs, torch.tensor(COUNTS)
    assert float(probs.sum()) == pytest.approx(1)
    assert float(probs @ reference.ratios.double()) == pytest.approx(0.74526, abs=1e-5)
    assert float(probs @ counts.double()) == pytest.approx(191.32, abs=1e-2)
    assert float(probs[counts == 256].sum()) == pytest.approx(0.02842, abs=1e-5)


def test_draws_follow_the_table(pairs: torch.Tensor, reference: MaskRatioDistribution):
    ratios = reference.ratios[pairs]
    assert float(ratios[:, 0].mean()) == pytest.approx(0.74526, abs=0.012)
    full = (torch.tensor(COUNTS)[pairs] == 256).double().mean(dim=0)
    assert full.tolist() == pytest.approx([0.02842, 0.04615], abs=0.012)


def test_offset_is_one_to_five_and_stops_at_the_last(pairs: torch.Tensor):
    now, later = pairs.unbind(1)
    inside = now < 61
    offsets = (later - now)[inside]
    shares = torch.bincount(offsets, minlength=6) / len(offsets)
    assert shares.tolist() == pytest.approx([0, 0.2, 0.2, 0.2, 0.2, 0.2], abs=0.03)
    assert int(later.max()) == 65
    at_last = now == 65
    assert at_last.any() and bool((later[at_last] == 65).all())
    assert bool((later >= now).all())


def test_no_offset_gives_one_ratio_twice():
    distribution = MaskRatioDistribution(max_offset=0)
    for ratio, later in [distribution.sample() for _ in range(20)]:
        assert ratio == later
    assert distribution.next_ratio(0.6) == 0.6


def test_next_ratio_is_half_of_the_largest_offset_further(reference: MaskRatioDistribution):
    ratios = reference.ratios.tolist()
    assert reference.next_ratio(ratios[10]) == ratios[13]
    assert reference.next_ratio(ratios[64]) == ratios[65]
    assert reference.next_ratio(1.0) == 1.0
    assert ratios[0] < reference.next_ratio(0.3) < ratios[4]


def test_other_schedules():
    distribution = MaskRatioDistribution(num_steps=8, min_ratio=0.2, max_ratio=0.9, max_offset=1)
    wanted = [math.cos(math.pi / 2 * s / 8) for s in (6, 5, 4, 3)]
    assert distribution.ratios.tolist() == pytest.approx(wanted)
    assert {b for _, b in [distribution.sample() for _ in range(50)]} <= set(
        distribution.ratios[1:].tolist())


@pytest.mark.parametrize('distribution', [MaskRatioDistribution(), TruncatedNormalMaskRatio()])
def test_a_generator_repeats_its_draws_and_leaves_the_others(
        distribution: MaskRatioDistribution | TruncatedNormalMaskRatio):
    state = torch.get_rng_state()
    runs = []
    for _ in range(2):
        rng = torch.Generator().manual_seed(3)
        runs.append([distribution.sample(rng) for _ in range(5)])
    assert runs[0] == runs[1] and len(set(runs[0])) > 1
    assert torch.equal(torch.get_rng_state(), state)
    distribution.sample()
    assert not torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('wrong', [
    dict(num_steps=0), dict(std=0), dict(max_offset=-1), dict(min_ratio=0.9, max_ratio=0.9),
    dict(num_steps=2, min_ratio=0.8)
])
def test_wrong_distribution(wrong: dict):
    with pytest.raises(ValueError, match=r'got .*|No ratio of'):
        MaskRatioDistribution(**wrong)


def test_truncated_normal_has_mages_moments_and_bounds():
    distribution = TruncatedNormalMaskRatio()
    rng = torch.Generator().manual_seed(0)
    draws = [distribution.sample(rng) for _ in range(4000)]
    assert all(a == b for a, b in draws)
    ratios = torch.tensor([a for a, _ in draws], dtype=torch.float64)
    assert float(ratios.mean()) == pytest.approx(0.69360, abs=0.006)
    assert float(ratios.std()) == pytest.approx(0.1286, abs=0.005)
    assert 0.5 <= float(ratios.min()) < 0.501 and 0.99 < float(ratios.max()) <= 1.0
    assert distribution.next_ratio(0.77) == 0.77


def test_truncated_normal_far_from_its_mean_stays_inside():
    distribution = TruncatedNormalMaskRatio(mean=0.1, std=0.01, min_ratio=0.6, max_ratio=0.7)
    assert all(0.6 <= distribution.sample()[0] <= 0.7 for _ in range(20))


@pytest.mark.parametrize('wrong', [
    dict(std=0), dict(min_ratio=0.8, max_ratio=0.8), dict(min_ratio=-0.1), dict(max_ratio=1.1)
])
def test_wrong_truncated_normal(wrong: dict):
    with pytest.raises(ValueError, match='0 <= min_ratio < max_ratio <= 1, got'):
        TruncatedNormalMaskRatio(**wrong)


def test_fixed_ratio():
    fixed = FixedMaskRatio(0.5)
    assert fixed.sample() == (0.5, 0.5) and fixed.next_ratio(0.7) == 0.7
    assert FixedMaskRatio(1.).sample() == (1., 1.)
    for wrong in (0, -0.5, 1.01):
        with pytest.raises(ValueError, match=r'ratio must lie in \(0, 1\]'):
            FixedMaskRatio(wrong)
