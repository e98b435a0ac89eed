"""Masks over token grids: how many tokens, which ones at random, which ones after a step.

Shapes: N images, (h, w) token grid, L = h * w.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Generators: TypeAlias = torch.Generator | Sequence[torch.Generator] | None


@dataclass
class Masks:
    """The masks of one training step, each inside the next.

    Attributes:
        now: m_t, (N, h, w) bool, True = unreliable.
        later: m_{t+d}, (N, h, w) bool, around m_t.
        num_reliable: Number of places that m_t leaves, known on the host: one for all images, or
            one for each if they have ratios of their own.
    """

    now: Tensor
    later: Tensor
    num_reliable: int | tuple[int, ...]


def num_masked(ratio: float, num_tokens: int) -> int:
    """Number of masked tokens ceil(L * ratio), as in the reference release.

    The product is rounded to float32 first, as the reference computes it: otherwise a ratio like
    0.7, given in float64, could count one token more.

    Args:
        ratio: Share of masked tokens in [0, 1].
        num_tokens: Number L of tokens.

    Raises:
        ValueError: If the ratio is outside of [0, 1].
    """
    if not 0 <= ratio <= 1:
        raise ValueError(f'A mask ratio must lie in [0, 1], got {ratio}.')
    return math.ceil(float(torch.tensor(ratio, dtype=torch.float32) * num_tokens))


def uniform_noise(shape: Sequence[int], device: torch.device | str,
                  generator: Generators = None) -> Tensor:
    """Noise in [0, 1) of the shape (N, ...).

    Args:
        shape: The shape.
        device: Where it is wanted.
        generator: Generator on ``device``, or one on the CPU for each of the N images, whose noise
            then does not depend on the others; the default one if None.
    """
    if not isinstance(generator, Sequence):
        return torch.rand(tuple(shape), device=device, generator=generator)
    noise = torch.stack([torch.rand(tuple(shape[1:]), generator=g) for g in generator])
    return noise.to(device, non_blocking=True)      # or the host would wait for the device


def nested_masks(noise: Tensor, *counts: int | Tensor) -> tuple[Tensor, ...]:
    """Masks of growing size, each inside the next, from one noise.

    Args:
        noise: (N, h, w) uniform noise; the smallest values are masked first.
        counts: For each mask the number of masked tokens, one for all images or (N,).

    Returns:
        For each count an (N, h, w) bool mask with exactly that many True.
    """
    order = noise.flatten(1).argsort(dim=1)
    rank = order.argsort(dim=1).view_as(noise)
    return tuple(rank < _per_image(count) for count in counts)


def _per_image(count: int | Tensor) -> int | Tensor:
    return count[:, None, None] if isinstance(count, Tensor) else count


def remask(confidence: Tensor, count: int | Tensor) -> Tensor:
    """The mask of the ``count`` least confident tokens of each image.

    Args:
        confidence: (N, h, w); +inf where a token must stay.
        count: Number of tokens to mask, one for all images or (N,).

    Returns:
        (N, h, w) bool.
    """
    return nested_masks(confidence, count)[0]
