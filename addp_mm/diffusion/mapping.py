"""The mapping function f of Eq. 7: from a distribution over codes to one latent per place.

Shapes: N images, K codes, (h, w) token grid, C code dims.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from .token_mask import Generators

MAPPINGS = ('sampling', 'argmax', 'weighted_sum')


class Codebook(Protocol):
    """What a mapping asks of a tokenizer's codebook."""

    def lookup(self, token_ids: Tensor) -> Tensor:
        """(N, h, w) ids to (N, C, h, w) latents."""

    def expected(self, probs: Tensor) -> Tensor:
        """(N, K, h, w) probabilities to the (N, C, h, w) mean latents."""


def check_mapping(name: str) -> None:
    """Raise ValueError unless ``name`` is one of :data:`MAPPINGS`."""
    if name not in MAPPINGS:
        raise ValueError(f'mapping must be one of {MAPPINGS}, got {name!r}.')


def sample_ids(probs: Tensor, generator: Generators = None) -> Tensor:
    """Draw one code per place.

    Args:
        probs: (N, K, h, w).
        generator: Generator on the device of ``probs``, or one on the CPU for each image; the
            default one if None.

    Returns:
        Ids (N, h, w), int64.
    """
    if isinstance(generator, Sequence):
        pairs = zip(probs.cpu().split(1), generator, strict=True)
        return torch.cat([sample_ids(part, one) for part, one in pairs]).to(probs.device)
    n, k, h, w = probs.shape
    rows = rearrange(probs, 'n k h w -> (n h w) k')
    ids = torch.multinomial(rows, 1, generator=generator)
    return rearrange(ids, '(n h w) 1 -> n h w', n=n, h=h)


def map_to_latents(probs: Tensor, codebook: Codebook | nn.Module, mapping: str,
                   generator: Generators = None) -> Tensor:
    """Apply f (paper Eq. 7, Tab. 4).

    Args:
        probs: (N, K, h, w) distribution over the codes of each place.
        codebook: The tokenizer's codebook.
        mapping: 'sampling', 'argmax' or 'weighted_sum'.
        generator: Generator of the draw; only 'sampling' draws.

    Returns:
        Latents (N, C, h, w).

    Raises:
        ValueError: If the mapping is unknown.
    """
    check_mapping(mapping)
    if mapping == 'weighted_sum':
        return codebook.expected(probs)
    if mapping == 'argmax':
        return codebook.lookup(probs.argmax(dim=1))
    return codebook.lookup(sample_ids(probs, generator))
