"""Noise with a generator for each image."""
from __future__ import annotations

import math

import torch

from addp_mm.generation import ImageNoise, image_seed

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
