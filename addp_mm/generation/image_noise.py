"""Noise of a batch in which each image has a generator of its own."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..whole_numbers import check_whole

_SEEDS = 2**32                  # torch's CPU generator reads 32 bits of a seed
_SPREAD = 0x9E3779B1            # odd, so that no two indices get one seed


def image_seed(seed: int, index: int) -> int:
    """The seed of image ``index`` of the run ``seed``.

    Two images of a run never share one; images of two runs do so by chance only.

    Args:
        seed: Any integer.
        index: Number of the image, 0 or more.

    Returns:
        A number in [0, 2**32).

    Raises:
        ValueError: If one of them is no whole number.
    """
    check_whole(seed=seed, index=index)
    start = int.from_bytes(hashlib.sha256(str(int(seed)).encode()).digest()[:4], 'big')
    return (start + _SPREAD * index) % _SEEDS


class ImageNoise:
    """Draws noise for the images of a batch.

    An image's noise depends on its index and the seed alone: not on the other images of the batch,
    nor on the device, because it is drawn on the CPU. The host does not wait until it has arrived.

    Args:
        seed: Seed of the run.
        indices: The number of each image of the batch in the run, 0 or more.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self.generators = [
            torch.Generator().manual_seed(image_seed(seed, index)) for index in indices
        ]

    def uniform(self, shape: Sequence[int], device: torch.device | str = 'cpu') -> Tensor:
        """Noise in [0, 1), ``(N, *shape)`` float32."""
        noise = [torch.rand(tuple(shape), generator=g) for g in self.generators]
        return torch.stack(noise).to(device, non_blocking=True)

    def gumbel(self, shape: Sequence[int], device: torch.device | str = 'cpu') -> Tensor:
        """Standard Gumbel noise, ``(N, *shape)`` float32."""
        draws = [torch.rand(tuple(shape), dtype=torch.float64, generator=g)
                 for g in self.generators]
        noise = torch.stack(draws).clamp(min=torch.finfo(torch.float64).tiny)
        return -(-noise.log()).log().float().to(device, non_blocking=True)


def draw_ids(probs: Tensor, uniform: Tensor, top_p: float = 1.) -> Tensor:
    """Draw one code per place by the inverse of the cumulative distribution.

    Args:
        probs: (N, K, h, w); they need not sum to exactly 1.
        uniform: (N, h, w) noise in [0, 1), one number for each place.
        top_p: In (0, 1]: draw from the most likely codes only, as few as have this probability
            together. 1 draws from all.

    Returns:
        Ids (N, h, w), int64. A code of probability 0 is never drawn.
    """
    probs = rearrange(probs, 'n k h w -> n h w k').contiguous()
    if top_p >= 1:
        return _invert(probs, uniform)
    sorted_probs, codes = probs.sort(dim=-1, descending=True, stable=True)
    before = F.pad(sorted_probs.cumsum(dim=-1)[..., :-1], (1, 0))
    kept = sorted_probs * (before < top_p * probs.sum(dim=-1, keepdim=True))
    return codes.gather(-1, _invert(kept, uniform)[..., None]).squeeze(-1)


def _invert(probs: Tensor, uniform: Tensor) -> Tensor:
    """First code at which the cumulative distribution (N, h, w, K) exceeds the noise."""
    cumulative = probs.cumsum(dim=-1)
    # At most 1 - 2**-24 times the total, which float32 keeps apart from the total.
    threshold = uniform[..., None].to(cumulative) * cumulative[..., -1:]
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)


def confidence(log_probs: Tensor, token_ids: Tensor, mask: Tensor, noise: Tensor) -> Tensor:
    """How sure the network is of each token; the least sure ones are masked again.

    Args:
        log_probs: (N, K, h, w); not truncated by top-p (reference release).
        token_ids: (N, h, w), drawn ones where masked.
        mask: (N, h, w) bool, True = was masked in this step.
        noise: (N, h, w), the temperature times Gumbel noise (Sec. D.4).

    Returns:
        (N, h, w): the log-probability plus the noise; +inf for known tokens, which stay.
    """
    chosen = log_probs.gather(1, token_ids[:, None]).squeeze(1)
    return (chosen + noise).masked_fill(~mask, torch.inf)
