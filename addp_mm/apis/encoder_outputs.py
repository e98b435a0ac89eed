"""Feature maps of some layers or stages of an encoder, whatever its config returns."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from torch import Tensor, nn


def encoder_outputs(encoder: nn.Module, images: Tensor,
                    out_indices: Sequence[int]) -> tuple[Tensor, ...]:
    """Feature maps of an encoder.

    Args:
        encoder: An encoder with ``out_indices``, as mmpretrain's have.
        images: Normalised images (N, 3, H, W).
        out_indices: Layers of a ViT or stages of a ResNet, from 0; -1 is the last. The norm behind
            the last layer of a ViT is applied to that layer only.

    Returns:
        For each index (N, D, h, w), in the order of the indices.

    Raises:
        ValueError: If the encoder has no such layer, or does not give several.
    """
    wanted = _from_start(encoder, out_indices)
    with _returning(encoder, sorted(set(wanted))) as layers:
        maps = dict(zip(layers, encoder(images), strict=True))
    return tuple(maps[index] for index in wanted)


def _from_start(encoder: nn.Module, out_indices: Sequence[int]) -> list[int]:
    count = getattr(encoder, 'num_layers', getattr(encoder, 'num_stages', None))
    if count is None or not hasattr(encoder, 'out_indices'):
        raise ValueError(f'A {type(encoder).__name__} returns what its config says: leave out '
                         'out_indices.')
    outside = [index for index in out_indices if not -count <= index < count]
    if outside or not out_indices:
        raise ValueError(f'out_indices of the {type(encoder).__name__} lie between {-count} and '
                         f'{count - 1}, got {list(out_indices)}.')
    return [index % count for index in out_indices]


@contextlib.contextmanager
def _returning(encoder: nn.Module, layers: list[int]) -> Iterator[list[int]]:
    earlier = encoder.out_indices
    encoder.out_indices = layers
    try:
        yield layers
    finally:
        encoder.out_indices = earlier
