"""A square of generated images (paper Fig. 7)."""
from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from .canvas import fit, frame, join, to_uint8

MIN_SIDE = 64


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
    pixels = list(to_uint8(fit(images, max(MIN_SIDE, *images.shape[2:]))))
    rows = [join(pixels[i:i + columns], axis=1, gap=gap) for i in range(0, len(pixels), columns)]
    return frame(join(rows, axis=0, gap=gap))
