"""What the diffusion process hands to the network."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor


@dataclass
class NoisySample:
    """The tokens behind a batch of noisy images.

    Shapes: N images, (h, w) token grid, K codes.

    Attributes:
        token_ids: z_0, (N, h, w) int64.
        mask: m_t, (N, h, w) bool, True = unreliable.
        target_probs: q(z_{t-1} | z_t), (N, K, h, w); None where nothing is to be learned.
        num_reliable: Number of reliable tokens, known on the host so that no device has to be
            waited for: one for all images, or one for each. None where nobody counted them.
        images: The clean images, (N, 3, H, W) RGB in [0, 1]; None where no loss reads them.
    """

    token_ids: Tensor
    mask: Tensor
    target_probs: Tensor | None = None
    num_reliable: int | tuple[int, ...] | None = None
    images: Tensor | None = None

    def reliable_tokens(self, multiple: int = 1) -> tuple[Tensor, Tensor, Tensor | None]:
        """The reliable tokens of each image in row-major order.

        Images with fewer reliable tokens than the fullest one are padded at the end.

        Args:
            multiple: Pad all images further, to a multiple of so many tokens, so that few different
                lengths occur.

        Returns:
            Their ids (N, R), their flat places on the grid (N, R), and the padding (N, R) bool
            (True = no token), None where one number holds for all images and ``multiple`` is 1.
        """
        mask, known = self.mask.flatten(1), self.num_reliable
        counts = known if isinstance(known, int) else (~mask).sum(dim=1, keepdim=True)
        longest = _largest(counts if known is None else known)
        length = _round_up(longest, multiple, mask.shape[1])
        places = mask.byte().argsort(dim=1, stable=True)[:, :length]
        padding = None
        if multiple > 1 or not isinstance(known, int):
            padding = (torch.arange(length, device=mask.device) >= counts).expand_as(places)
        return self.token_ids.flatten(1).gather(1, places), places, padding

    def masked_places(self, multiple: int = 1) -> tuple[Tensor, NoisySample]:
        """The masked places of each image in row-major order, and what is behind them.

        Images with fewer masked places than the fullest one are padded at the end. Where their
        number is not known on the host all places are returned, the masked ones first: to count
        them the device would have to be waited for.

        Args:
            multiple: See :meth:`reliable_tokens`; the padding is reliable places.

        Returns:
            Flat places (N, M), and the sample there: ids and mask (N, M), the mask False at the
            padding, distributions (N, K, M).
        """
        mask = self.mask.flatten(1)
        length = mask.shape[1]
        if self.num_reliable is not None:
            length = _round_up(length - _smallest(self.num_reliable), multiple, length)
        places = (~mask).byte().argsort(dim=1, stable=True)[:, :length]
        probs = self.target_probs
        if probs is not None:
            rows = gather_places(rearrange(probs, 'n k h w -> n (h w) k'), places)
            probs = rearrange(rows, 'n m k -> n k m')
        return places, NoisySample(
            self.token_ids.flatten(1).gather(1, places), mask.gather(1, places), probs)


def gather_places(rows: Tensor, places: Tensor) -> Tensor:
    """The rows (N, M, D) of (N, L, D) at flat places (N, M)."""
    return rows.gather(1, places[..., None].expand(-1, -1, rows.shape[2]))


def _largest(counts: int | tuple[int, ...] | Tensor) -> int:
    if isinstance(counts, Tensor):
        return int(counts.max())
    return counts if isinstance(counts, int) else max(counts)


def _smallest(counts: int | tuple[int, ...]) -> int:
    return counts if isinstance(counts, int) else min(counts)


def _round_up(count: int, multiple: int, limit: int) -> int:
    return min(-(-count // multiple) * multiple, limit)
