"""Whether the numbers in a weight file are numbers."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor


def check_finite(weights: Mapping[str, Tensor], path: str | Path) -> None:
    """See that all weights are finite.

    Args:
        weights: Tensors by name.
        path: Their file, for the message.

    Raises:
        ValueError: If one is not, with the first name.
    """
    bad = [name for name, tensor in weights.items()
           if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise ValueError(
            f'{path} holds numbers that are not finite, in {len(bad)} of {len(weights)} tensors '
            f'({bad[0]} first): its training went bad. Take an earlier checkpoint.')
