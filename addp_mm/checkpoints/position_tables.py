"""Learned tables of positions on the token grid, resized when a checkpoint has another grid."""
from __future__ import annotations

import math

from mmengine.logging import MMLogger
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn

from .module_notes import GRID, Grid


def resize_position_table(table: Tensor, grid_size: Grid, num_extra_tokens: int = 1,
                          from_grid: Grid | None = None) -> Tensor:
    """Resize a table to another grid, bicubic.

    Args:
        table: (1, E + H * W, D), row by row after the extra ones.
        grid_size: The wanted grid (h, w).
        num_extra_tokens: Number E of extra rows, which are kept: 1 for CLS, or 0.
        from_grid: The grid (H, W) of the table. None, or one of another number of places: a table
            of as many places as the wanted grid is left as it is, with a warning where that is not
            square; every other one is taken to be of a square grid.

    Returns:
        (1, E + h * w, D).

    Raises:
        ValueError: If the table has other dimensions, or its grid is neither known nor square.
    """
    if table.ndim != 3:
        raise ValueError('A position table has the shape (1, places, width), got '
                         f'{tuple(table.shape)}: it is of another kind of encoder.')
    num_places = table.shape[1] - num_extra_tokens
    if from_grid is None or math.prod(from_grid) != num_places:
        from_grid = _guessed_grid(num_places, grid_size)
    return resize_pos_embed(table, from_grid, grid_size, 'bicubic', num_extra_tokens)


def fit_encoder_table(encoder: VisionTransformer, state_dict: dict[str, Tensor],
                      prefix: str = '', from_grid: Grid | None = None) -> None:
    """Bring a ViT's table to its grid, in place; without the row of CLS for a ViT without.

    Args:
        encoder: The ViT.
        state_dict: Has its tensors.
        prefix: Before their names.
        from_grid: See :func:`resize_position_table`.
    """
    name = f'{prefix}pos_embed'
    if name not in state_dict:
        return
    num_extra = encoder.num_extra_tokens or int(f'{prefix}cls_token' in state_dict)
    table = resize_position_table(state_dict[name], tuple(encoder.patch_resolution), num_extra,
                                  from_grid)
    state_dict[name] = table[:, num_extra - encoder.num_extra_tokens:]


def warn_of_unknown_grid(grid_size: Grid) -> None:
    """Say that tables without a known grid are taken to be of the model's, if it is not square."""
    height, width = grid_size
    if height != width:
        MMLogger.get_current_instance().warning(
            f'The weights do not say of which grid their position tables are. They fit {height} x '
            f'{width} places and are taken as such: if they were trained with another grid of as '
            'many places, results are wrong. Then train with the same image size.')


def resize_tables_on_load(module: nn.Module, names: tuple[str, ...], grid_size: Grid) -> None:
    """Let ``module.load_state_dict`` accept tables of another grid.

    Args:
        module: The owner of the tables.
        names: Names of its parameters (1, 1 + h * w, D).
        grid_size: The module's grid (h, w).
    """

    def resize(state_dict: dict, prefix: str, metadata: dict, *_: object) -> None:
        for name in names:
            if prefix + name in state_dict:
                state_dict[prefix + name] = resize_position_table(
                    state_dict[prefix + name], grid_size, from_grid=metadata.get(GRID))

    note_grid(module, grid_size)
    module._register_load_state_dict_pre_hook(resize)


def note_grid(module: nn.Module, grid_size: Grid) -> None:
    """Note the grid of a module's position tables in the metadata of its state dict.

    4 x 16 and 8 x 8 places are as many, but a table of the one means nothing on the other.
    """

    def note(_: nn.Module, state_dict: dict, prefix: str, metadata: dict) -> None:
        metadata[GRID] = tuple(grid_size)

    module._register_state_dict_hook(note)


def _guessed_grid(num_places: int, grid_size: Grid) -> Grid:
    if num_places == math.prod(grid_size):
        warn_of_unknown_grid(grid_size)
        return grid_size
    side = math.isqrt(num_places)
    if side * side != num_places:
        raise ValueError(
            'Where weights do not say of which grid their position tables are, these can be '
            f'resized from square grids only. Got {num_places} places, wanted {grid_size[0]} x '
            f'{grid_size[1]}. Train and load with the same grid.')
    return side, side
