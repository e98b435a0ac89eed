"""Noise with a generator for each image."""
from __future__ import annotations

import math

import pytest
import torch

from addp_mm.generation import ImageNoise, confidence, draw_ids, image_seed

SHAPE = (4, 4)


def test_an_image_does_not_depend_on_its_batch() -> None:
    alone, together = ImageNoise(3, [5]), ImageNoise(3, [2, 5, 9])
    for _ in range(3):
        assert torch.equal(alone.uniform(SHAPE)[0], together.uniform(SHAPE)[1])
        assert torch.equal(alone.gumbel(SHAPE)[0], together.gumbel(SHAPE)[1])


def test_images_and_seeds_differ() -> None:
    draws = [ImageNoise(seed, [index]).uniform(SHAPE) for seed in (0, 1, -1) for index in (0, 1)]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == 6


def test_no_two_images_of_a_run_share_a_seed() -> None:
    # torch's generator reads 32 bits: by chance, two of 50000 images would share one.
    seeds = {image_seed(0, index) for index in range(50000)}
    assert len(seeds) == 50000 and min(seeds) >= 0 and max(seeds) < 2**32


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    noise = ImageNoise(0, range(3))
    noise.uniform(SHAPE), noise.gumbel(SHAPE)
    assert torch.equal(torch.get_rng_state(), before)


def test_distributions() -> None:
    noise = ImageNoise(0, range(4))
    uniform, gumbel = noise.uniform((100, 100)), noise.gumbel((100, 100))
    assert uniform.shape == gumbel.shape == (4, 100, 100)
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert abs(gumbel.mean() - 0.5772) < 0.02 and abs(gumbel.var() - math.pi**2 / 6) < 0.05
    assert gumbel.dtype == uniform.dtype == torch.float32 and gumbel.isfinite().all()


PROBS = torch.tensor([0.1, 0.4, 0.0, 0.2, 0.3])


def places(probs: torch.Tensor, count: int = 40000) -> tuple[torch.Tensor, torch.Tensor]:
    """One image of ``count`` places of the same distribution, and noise."""
    uniform = torch.rand(1, 1, count)
    return probs[None, :, None, None].expand(1, -1, 1, count), uniform


def frequencies(ids: torch.Tensor) -> torch.Tensor:
    return ids.flatten().bincount(minlength=len(PROBS)) / ids.numel()


def test_frequencies() -> None:
    ids = draw_ids(*places(PROBS))
    assert ids.dtype == torch.long and ids.shape == (1, 1, 40000)
    assert torch.allclose(frequencies(ids), PROBS, atol=0.01)


def test_probabilities_need_not_sum_to_one() -> None:
    assert torch.allclose(frequencies(draw_ids(*places(3 * PROBS))), PROBS, atol=0.01)


@pytest.mark.parametrize('top_p, kept', [
    (0.3, [1]), (0.5, [1, 4]), (0.69, [1, 4]), (0.8, [1, 3, 4]), (0.95, [0, 1, 3, 4])
])
def test_top_p_keeps_the_smallest_sufficient_set(top_p: float, kept: list[int]) -> None:
    wanted = torch.zeros_like(PROBS)
    wanted[kept] = PROBS[kept] / PROBS[kept].sum()
    assert torch.allclose(frequencies(draw_ids(*places(PROBS), top_p)), wanted, atol=0.01)


@pytest.mark.parametrize('top_p', [1., 0.9])
@pytest.mark.parametrize('noise', [0., 1 - 2**-24])
def test_a_code_of_probability_zero_is_never_drawn(noise: float, top_p: float) -> None:
    probs = torch.tensor([0., 0.3, 0., 0.7, 0., 0.])[None, :, None, None]
    for scale in (1., 1.0000001, 0.9999999, 1 / 3):
        drawn = draw_ids(scale * probs, torch.full((1, 1, 1), noise), top_p)
        assert int(drawn) in (1, 3)


def test_float64() -> None:
    probs, uniform = places(PROBS, 1000)
    assert torch.equal(draw_ids(probs.double(), uniform), draw_ids(probs, uniform))


def test_confidence() -> None:
    log_probs = torch.randn(2, 7, 3, 4).log_softmax(dim=1)
    token_ids, noise = torch.randint(7, (2, 3, 4)), torch.randn(2, 3, 4)
    mask = torch.rand(2, 3, 4) < 0.5
    sureness = confidence(log_probs, token_ids, mask, noise)
    assert torch.isinf(sureness[~mask]).all() and (sureness[~mask] > 0).all()
    n, row, column = mask.nonzero()[0].tolist()
    code = token_ids[n, row, column]
    expected = log_probs[n, code, row, column] + noise[n, row, column]
    assert sureness[n, row, column] == expected
