"""Whether a model is being written down for another program, which may fix no size on the way."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor


def is_exporting() -> bool:
    """Whether ``torch.export``, ``torch.jit.trace`` or an ONNX exporter runs the model."""
    return (torch.compiler.is_exporting() or torch.jit.is_tracing()
            or torch.onnx.is_in_onnx_export())


def interpolate_position_table(table: Tensor, from_grid: tuple[int, int],
                               to_grid: tuple[int, int], num_extra_tokens: int) -> Tensor:
    """Resize a position table without asking whether that is needed, which would fix the size.

    To the same grid it is the identity.

    Args:
        table: (1, E + h * w, D).
        from_grid: (h, w) that the table is made for.
        to_grid: The wanted grid (h', w'), also as symbols of ``torch.export``.
        num_extra_tokens: Number E of extra rows, which are kept.

    Returns:
        (1, E + h' * w', D).
    """
    places = rearrange(table[:, num_extra_tokens:], '1 (h w) d -> 1 d h w', h=from_grid[0])
    places = F.interpolate(places, size=tuple(to_grid), mode='bicubic', align_corners=False)
    return torch.cat((table[:, :num_extra_tokens], places.flatten(2).transpose(1, 2)), dim=1)
