"""A square of generated images."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_mm.visualization import sample_grid
from addp_mm.visualization.canvas import GAP, to_uint8

MARGIN = 2 * GAP


def test_images_row_by_row() -> None:
    images = torch.rand(5, 3, 64, 80)
    grid = sample_grid(images, columns=3, gap=2)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    pixels = to_uint8(images)
    assert grid.shape == (2 * 64 + 2, 3 * 80 + 2 * 2, 3) and grid.dtype == np.uint8
    assert np.array_equal(grid[:64, 2 * 82:], pixels[2])
    assert np.array_equal(grid[66:, 82:162], pixels[4])
    assert (grid[66:, 162:] == 255).all() and (grid[64:66] == 255).all()


def test_small_images_are_enlarged_and_nearly_square() -> None:
    grid = sample_grid(torch.zeros(7, 3, 8, 8))
    assert grid.shape[:2] == (3 * 64 + 4 + 2 * MARGIN, ) * 2


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match='at least one image and one column, got 0 images'):
        sample_grid(torch.zeros(0, 3, 8, 8))
    with pytest.raises(ValueError, match='columns=0'):
        sample_grid(torch.zeros(2, 3, 8, 8), columns=0)
