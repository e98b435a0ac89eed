"""Grids of images: labelled rows, such as originals above reconstructions, and squares (Fig. 7)."""
from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torchvision.utils import make_grid

from .canvas import fit, frame, join, text_box, to_uint8

MIN_SIDE = 96
SAMPLE_MIN_SIDE = 64


def image_grid(rows: Sequence[Tensor], labels: Sequence[str] | None = None) -> np.ndarray:
    """Draw rows of images.

    Images of less than 96 pixels are enlarged by a whole number, so that small ones can be
    recognised.

    Args:
        rows: For each row the images (N, 3, H, W), RGB in [0, 1]; all rows of one shape.
        labels: A text for each row, drawn on its left, for example
            ``('image', 'tokenizer reconstruction')``.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        ValueError: If there is no image, the rows differ in shape, or there are not as many
            labels as rows.
    """
    shapes = {tuple(row.shape) for row in rows}
    if len(shapes) != 1 or 0 in next(iter(shapes)):
        raise ValueError('image_grid needs at least one image, and as many of one size in each '
                         f'row, got rows of {[tuple(row.shape) for row in rows]}.')
    if labels is not None and len(labels) != len(rows):
        raise ValueError(f'image_grid needs a label for each row, got {len(labels)} labels for '
                         f'{len(rows)} rows.')
    side = max(MIN_SIDE, *rows[0].shape[2:])
    lines = [join(list(to_uint8(fit(row, side))), axis=1) for row in rows]
    if labels is not None:
        width = max(text_box(label).shape[1] for label in labels)
        lines = [
            join([text_box(label, width, line.shape[0]), line], axis=1)
            for label, line in zip(labels, lines, strict=True)
        ]
    return join(lines, axis=0)


def sample_grid(images: Tensor, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """Draw images row by row.

    Images of less than 64 pixels are enlarged by a whole number, so that small ones can be
    recognised.

    Args:
        images: (N, 3, H, W), RGB in [0, 1].
        columns: Images in a row; about as many as rows if None.
        gap: White pixels between two images.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        ValueError: If there is no image, or less than one column.
    """
    if not len(images) or (columns is not None and columns < 1):
        raise ValueError('sample_grid needs at least one image and one column, got '
                         f'{len(images)} images and {columns=}.')
    columns = min(len(images), columns or math.ceil(math.sqrt(len(images))))
    images = fit(images, max(SAMPLE_MIN_SIDE, *images.shape[2:]))
    grid = make_grid(images, nrow=columns, padding=gap, pad_value=1.)
    if len(images) > 1:     # then it has a margin of its own
        grid = grid[:, gap:grid.shape[1] - gap, gap:grid.shape[2] - gap]
    return frame(to_uint8(grid[None])[0])
