"""Learned tables of positions on the token grid, resized when a checkpoint has another grid."""
from __future__ import annotations

import math

from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

GRID = 'grid_size'      # in the metadata of a state dict


def resize_position_table(table: Tensor, grid_size: tuple[int, int],
                          num_extra_tokens: int = 1) -> Tensor:
    """Resize a table to another grid, bicubic; a table of as many places is left as it is.

    Args:
        table: (1, E + s * s, D), the rows of a square grid after the extra ones.
        grid_size: The wanted grid (h, w).
        num_extra_tokens: Number E of extra rows, which are kept: 1 for CLS, or 0.

    Returns:
        (1, E + h * w, D).

    Raises:
        ValueError: If the table is not that of a square grid, or has other dimensions.
    """
    if table.ndim != 3:
        raise ValueError('A position table has the shape (1, places, width), got '
                         f'{tuple(table.shape)}: it is of another kind of encoder.')
    num_places = table.shape[1] - num_extra_tokens
    if num_places == grid_size[0] * grid_size[1]:
        return table
    side = math.isqrt(num_places)
    if side * side != num_places:
        raise ValueError(
            f'Can resize position tables of square grids only. Got {num_places} places, wanted '
            f'{grid_size[0]} x {grid_size[1]}. Train and load with the same grid.')
    return resize_pos_embed(table, (side, side), grid_size, 'bicubic', num_extra_tokens)


def resize_tables_on_load(module: nn.Module, names: tuple[str, ...],
                          grid_size: tuple[int, int]) -> None:
    """Let ``module.load_state_dict`` accept tables of another grid.

    The grid is noted in the metadata of the module's state dict: 4 x 16 and 8 x 8 places are as
    many, but a table of the one means nothing on the other.

    Args:
        module: The owner of the tables.
        names: Names of its parameters (1, 1 + h * w, D).
        grid_size: The module's grid (h, w).
    """

    def note(_: nn.Module, state_dict: dict, prefix: str, metadata: dict) -> None:
        metadata[GRID] = tuple(grid_size)

    def resize(state_dict: dict, prefix: str, metadata: dict, *_: object) -> None:
        other = tuple(metadata.get(GRID, grid_size))
        if other != tuple(grid_size) and other[0] != other[1]:
            raise ValueError(
                f'The position tables {prefix}{names[0]}... are of a grid of {other[0]} x '
                f'{other[1]}, the model has {grid_size[0]} x {grid_size[1]}. Only tables of square '
                'grids can be resized: train and load with the same grid.')
        for name in names:
            if prefix + name in state_dict:
                state_dict[prefix + name] = resize_position_table(
                    state_dict[prefix + name], grid_size)

    module._register_state_dict_hook(note)
    module._register_load_state_dict_pre_hook(resize)
