"""Multi-head attention of the dense backbones: all that they add to the layers of a plain ViT.

Both kinds take over the projections of the layer's own attention, under the same names.

Shapes: N images, (h, w) grid, L tokens, D embedding dims, H heads, d head dims.
"""
from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmpretrain.models.utils import MultiheadAttention
from torch import Tensor, nn

from ..checkpoints.module_notes import GRID, Grid
from ..checkpoints.position_tables import note_grid, warn_of_unknown_grid
from ..models.layers import is_exporting
from .blockwise_attention import BlockwiseAttention
from .position_bias import NUM_CLS_ROWS, position_bias, resize_bias_table
from .relative_positions import (
    folded_attention,
    plain_attention,
    relative_vectors,
    resize_relative_table,
)


class DenseAttention(nn.Module):
    """Projections of an attention without dropout.

    Args:
        attn: The attention whose projections are taken over.
        fused: Hold no scores where a kernel allows it; False computes the definition.
    """

    def __init__(self, attn: MultiheadAttention, fused: bool) -> None:
        super().__init__()
        self.num_heads = attn.num_heads
        self.head_dims = attn.head_dims
        self.fused = fused
        self.qkv = attn.qkv
        self.proj = attn.proj
        self.gamma1 = attn.gamma1
        self.out_drop = attn.out_drop
        self._register_load_state_dict_pre_hook(self._resize_tables)

    def resize_table(self, table: Tensor, length: int, from_grid: Grid | None) -> Tensor:
        """Resize a table of relative positions if it was made for another grid."""
        raise NotImplementedError

    def _resize_tables(self, state_dict: dict, prefix: str, metadata: dict,
                       *args: object) -> None:
        """Bring the tables of a checkpoint to the sizes of the module's own."""
        for name, own in self.named_parameters(recurse=False):
            table = state_dict.get(prefix + name)
            if table is None or table.shape[1:] != own.shape[1:]:
                continue
            resized = self.resize_table(table, len(own), metadata.get(GRID))
            if resized is not table:
                print_log(f'Resize {prefix}{name} from {tuple(table.shape)} to '
                          f'{tuple(own.shape)}.', logger='current')
                state_dict[prefix + name] = resized

    def _split_heads(self, qkv: Tensor) -> Tensor:
        return qkv.unflatten(-1, (3, self.num_heads, self.head_dims))

    def _project(self, out: Tensor) -> Tensor:
        return self.out_drop(self.gamma1(self.proj(out)))


class RelativePositionAttention(DenseAttention):
    """Attention of ViTDet: decomposed relative positions, inside of windows or over the map.

    The places that fill up the last windows are tokens of zeros, which the others attend to, as in
    ViTDet and in mmpretrain's ``ViTSAM``. The tables start at zero.

    Args:
        attn: The attention whose projections are taken over.
        grid_size: (h, w) that the tables are made for; other grids interpolate them linearly.
        window_size: Side of the windows; 0 attends over the whole map.
        fused: Hold no scores; False computes the definition, the tested reference.
    """

    def __init__(self, attn: MultiheadAttention, grid_size: tuple[int, int], window_size: int = 0,
                 fused: bool = True) -> None:
        super().__init__(attn, fused)
        self.window_size = window_size
        height, width = (window_size, window_size) if window_size else grid_size
        self.rel_pos_h = nn.Parameter(torch.zeros(2 * height - 1, self.head_dims))
        self.rel_pos_w = nn.Parameter(torch.zeros(2 * width - 1, self.head_dims))

    def forward(self, features: Tensor) -> Tensor:
        """Attend.

        Args:
            features: (N, h, w, D).

        Returns:
            (N, h, w, D), without the shortcut.
        """
        if not self.window_size:
            return self._project(self._attend(self.qkv(features)))
        # Tokens of zeros have the bias as query, key and value: no need to multiply them.
        qkv = split_windows(F.linear(features, self.qkv.weight), self.window_size)
        qkv = qkv if self.qkv.bias is None else qkv + self.qkv.bias.to(qkv.dtype)
        return self._project(join_windows(self._attend(qkv), features.shape[1:3]))

    def resize_table(self, table: Tensor, length: int, from_grid: Grid | None) -> Tensor:
        """Interpolate a table linearly."""
        return resize_relative_table(table, length)

    def _attend(self, qkv: Tensor) -> Tensor:
        height, width = qkv.shape[1:3]
        attend = plain_attention
        if self.fused and not is_exporting():       # an exporter cannot look into the fused ones
            attend = BlockwiseAttention.apply if qkv.device.type == 'cpu' else folded_attention
        return attend(
            self._split_heads(qkv), relative_vectors(self.rel_pos_h, height),
            relative_vectors(self.rel_pos_w, width)).flatten(-2)


class PositionBiasAttention(DenseAttention):
    """Attention of BEiT: a learned bias for every distance, and three for those of CLS.

    The table starts at zero, as for MAE.

    Args:
        attn: The attention whose projections are taken over.
        grid_size: (h, w) that the table is made for; for other grids it is resized.
        fused: Compute through ``scaled_dot_product_attention``; False computes the definition.
    """

    def __init__(self, attn: MultiheadAttention, grid_size: tuple[int, int],
                 fused: bool = True) -> None:
        super().__init__(attn, fused)
        self.grid_size = grid_size
        height, width = grid_size
        self.relative_position_bias_table = nn.Parameter(
            torch.zeros((2 * height - 1) * (2 * width - 1) + 3, self.num_heads))
        note_grid(self, grid_size)

    def forward(self, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Attend.

        Args:
            tokens: (N, L, D): the patches row by row, after CLS if there is one.
            grid_size: (h, w).

        Returns:
            (N, L, D), without the shortcut.
        """
        q, k, v = self._split_heads(self.qkv(tokens)).permute(2, 0, 3, 1, 4)   # each (N, H, L, d)
        table = resize_bias_table(self.relative_position_bias_table, self.grid_size, grid_size)
        bias = position_bias(table, grid_size)[:, -q.shape[2]:, -q.shape[2]:].to(q.dtype)
        if self.fused and not is_exporting():
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
        else:
            scores = (q * self.head_dims**-0.5) @ k.transpose(-2, -1)
            out = (scores + bias).softmax(dim=-1) @ v
        return self._project(out.transpose(1, 2).flatten(-2))

    def resize_table(self, table: Tensor, length: int, from_grid: Grid | None) -> Tensor:
        """Resize the table, of a square grid if that is not known: :func:`resize_bias_table`."""
        from_grid = from_grid or self._guessed_grid(len(table), length)
        return resize_bias_table(table, from_grid, self.grid_size)

    def _guessed_grid(self, num_rows: int, own_rows: int) -> Grid:
        if num_rows == own_rows:
            warn_of_unknown_grid(self.grid_size)
            return self.grid_size
        side = (math.isqrt(num_rows - NUM_CLS_ROWS) + 1) // 2
        if (2 * side - 1)**2 != num_rows - NUM_CLS_ROWS:
            raise ValueError(f'Got a bias table of {num_rows} rows. Where weights do not say their '
                             'grid, square grids only can be resized: set the img_size that it was '
                             'trained with.')
        return side, side


def split_windows(features: Tensor, window_size: int) -> Tensor:
    """Cut a map into windows; the bottom and right ones are filled up with zeros.

    Args:
        features: (N, h, w, C).
        window_size: Side s of the square windows in grid places.

    Returns:
        (M, s, s, C), image by image, row by row.
    """
    height, width, channels = features.shape[1:]
    rows, cols = num_windows((height, width), window_size)
    features = F.pad(features, (0, 0, 0, cols * window_size - width,
                                0, rows * window_size - height))
    features = features.unflatten(2, (cols, window_size)).unflatten(1, (rows, window_size))
    return features.transpose(2, 3).flatten(0, 2)


def join_windows(windows: Tensor, grid_size: tuple[int, int]) -> Tensor:
    """Undo :func:`split_windows` and cut off what it filled up.

    Args:
        windows: (M, s, s, C).
        grid_size: (h, w) of the map that was cut.

    Returns:
        (N, h, w, C).
    """
    height, width = grid_size
    rows, cols = num_windows(grid_size, windows.shape[1])
    features = windows.unflatten(0, (-1, rows, cols)).transpose(2, 3)
    features = features.flatten(3, 4).flatten(1, 2)
    if is_exporting():      # a slice of a free size is tied to whether it cuts something off
        for axis, length in enumerate(grid_size, 1):
            features = features.index_select(axis, torch.arange(length, device=features.device))
        return features
    return features[:, :height, :width]


def num_windows(grid_size: tuple[int, int], window_size: int) -> tuple[int, int]:
    """How many windows of side ``window_size`` cover a map of (h, w) places: (rows, columns)."""
    height, width = grid_size
    # Not -(-height // window_size): exporters with free sizes cannot prove that this is positive.
    return (height + window_size - 1) // window_size, (width + window_size - 1) // window_size
