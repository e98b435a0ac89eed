"""The relative position bias of BEiT (arXiv 2106.08254): its table, for any grid.

Shapes: (h, w) grid, L = h * w places, H heads, T = (2h - 1)(2w - 1) distances.
"""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.layers import is_exporting

NUM_CLS_ROWS = 3        # from CLS to a patch, from a patch to CLS, from CLS to itself


def distance_index(grid_size: tuple[int, int], device: torch.device) -> Tensor:
    """Number the distances of all pairs of tokens.

    Args:
        grid_size: (h, w).
        device: Of the result.

    Returns:
        (1 + L, 1 + L): rows of a table, from the query to the key; CLS is the first token.
    """
    height, width = grid_size
    num_distances = (2 * height - 1) * (2 * width - 1)
    axes = torch.arange(height, device=device), torch.arange(width, device=device)
    places = torch.stack(torch.meshgrid(*axes, indexing='ij'), dim=-1).flatten(0, 1)
    rows, cols = (places[:, None] - places).unbind(-1)                        # (L, L)
    index = (rows + height - 1) * (2 * width - 1) + cols + width - 1
    index = F.pad(index, (0, 0, 1, 0), value=num_distances)                   # from CLS
    index = F.pad(index, (1, 0), value=num_distances + 1)                     # to CLS
    return index + F.pad(index.new_ones(1, 1), (0, len(places), 0, len(places)))    # to itself


@lru_cache(maxsize=8)
def kept_distance_index(grid_size: tuple[int, int], device: torch.device) -> Tensor:
    """:func:`distance_index`, kept for the next layers and images."""
    with torch.inference_mode(False):       # else training could not use what inference has made
        return distance_index(grid_size, device)


def position_bias(table: Tensor, grid_size: tuple[int, int]) -> Tensor:
    """Spread a table over all pairs of tokens.

    Args:
        table: (T + 3, H), made for ``grid_size``.
        grid_size: (h, w).

    Returns:
        (H, 1 + L, 1 + L).
    """
    number = distance_index if is_exporting() else kept_distance_index
    index = number((grid_size[0], grid_size[1]), table.device)
    return table.t().index_select(1, index.flatten()).unflatten(1, index.shape)


def resize_bias_table(table: Tensor, from_grid: tuple[int, int],
                      to_grid: tuple[int, int]) -> Tensor:
    """Resize a table to another grid.

    A smaller grid takes the distances that it has. For a larger one the distances are taken as a
    geometric sequence that reaches as far as the grid, with a cubic spline between them, so that
    the bias of near places hardly changes: as BEiT does when it loads weights.

    Args:
        table: (T + 3, H); stays differentiable.
        from_grid: (h, w) that the table is made for.
        to_grid: The wanted one.

    Returns:
        (T' + 3, H).
    """
    if tuple(from_grid) == tuple(to_grid):
        return table
    distances, cls_rows = table[:-NUM_CLS_ROWS], table[-NUM_CLS_ROWS:]
    distances = distances.unflatten(0, tuple(2 * side - 1 for side in from_grid))
    rows, cols = (
        torch.from_numpy(distance_weights(*sides)).to(table)
        for sides in zip(from_grid, to_grid, strict=True))
    resized = torch.einsum('ra,cb,abh->rch', rows, cols, distances)
    return torch.cat((resized.flatten(0, 1), cls_rows))


def distance_weights(from_size: int, to_size: int) -> np.ndarray:
    """Compute how each distance along an axis depends on those of another size.

    Args:
        from_size: Places along the axis.
        to_size: The wanted number.

    Returns:
        (2 * to_size - 1, 2 * from_size - 1).
    """
    # BEiT's segmentation needs SciPy anyway, the rest of this package does not.
    from scipy.interpolate import make_interp_spline
    wanted = np.arange(1. - to_size, to_size)
    known = _geometric_distances(from_size, to_size)
    spline = make_interp_spline(known, np.eye(len(known)), k=min(3, len(known) - 1))
    return spline(wanted.clip(known[0], known[-1]))


def _geometric_distances(from_size: int, to_size: int) -> np.ndarray:
    """Return -x_n, ..., 0, ..., x_n: steps of 1, q, q^2, ... up to the last distance, q >= 1."""
    steps = np.arange(from_size - 1)
    low, high = 1., float(to_size)
    while high - low > 1e-9:
        ratio = (low + high) / 2
        low, high = (low, ratio) if (ratio**steps).sum() > to_size - 1 else (ratio, high)
    distances = np.cumsum(low**steps)
    return np.concatenate((-distances[::-1], [0.], distances))

