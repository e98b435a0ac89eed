"""Noise of a batch in which each image has a generator of its own."""
from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

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
    """
    start = int.from_bytes(hashlib.sha256(str(int(seed)).encode()).digest()[:4], 'big')
    return (start + _SPREAD * index) % _SEEDS


class ImageNoise:
    """Draws noise for the images of a batch.

    An image's noise depends on its index and the seed alone: not on the other images of the batch,
    nor on the device, because it is drawn on the CPU.

    Args:
        seed: Seed of the run.
        indices: The number of each image of the batch in the run, 0 or more.
    """

    def __init__(self, seed: int, indices: Sequence[int]) -> None:
        self.generators = [
            torch.Generator().manual_seed(image_seed(seed, index)) for index in indices
        ]

    def uniform(self, shape: Sequence[int], device: torch.device | str = 'cpu') -> Tensor:
        """Noise in [0, 1), (N, *shape) float32."""
        noise = [torch.rand(tuple(shape), generator=g) for g in self.generators]
        return torch.stack(noise).to(device)

    def gumbel(self, shape: Sequence[int], device: torch.device | str = 'cpu') -> Tensor:
        """Standard Gumbel noise, (N, *shape) float32."""
        draws = [torch.rand(tuple(shape), dtype=torch.float64, generator=g)
                 for g in self.generators]
        noise = torch.stack(draws).clamp(min=torch.finfo(torch.float64).tiny)
        return -(-noise.log()).log().float().to(device)
