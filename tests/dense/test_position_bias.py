from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.interpolate import RectBivariateSpline

from addp_mm.dense.position_bias import (
    _geometric_distances,
    position_bias,
    resize_bias_table,
)


def test_bias_of_every_pair():
    height, width = 2, 3
    table = torch.randn((2 * height - 1) * (2 * width - 1) + 3, 2)
    bias = position_bias(table, (height, width))
    grid = table[:-3].view(2 * height - 1, 2 * width - 1, 2)
    for query in range(height * width):
        for key in range(height * width):
            rows, cols = query // width - key // width, query % width - key % width
            assert torch.equal(bias[:, 1 + query, 1 + key],
                               grid[rows + height - 1, cols + width - 1])
    assert torch.equal(bias[:, 0, 1:], table[-3, :, None].expand(-1, 6))
    assert torch.equal(bias[:, 1:, 0], table[-2, :, None].expand(-1, 6))
    assert torch.equal(bias[:, 0, 0], table[-1])


def test_a_smaller_grid_takes_its_distances():
    table = torch.randn(9 * 13 + 3, 2)
    small = resize_bias_table(table, (5, 7), (2, 4))
    grid = table[:-3].view(9, 13, 2)[3:6, 3:10]
    torch.testing.assert_close(small[:-3].view(3, 7, 2), grid)
    assert torch.equal(small[-3:], table[-3:])


def test_a_larger_grid_is_a_spline_over_geometric_distances():
    table = torch.randn(13 * 13 + 3, 1)
    large = resize_bias_table(table, (7, 7), (10, 10))
    known = _geometric_distances(7, 10)
    steps = np.diff(known[6:])
    assert known[-1] == pytest.approx(9, abs=1e-4) and steps[0] == 1
    np.testing.assert_allclose(steps[1:] / steps[:-1], steps[1], rtol=1e-9)
    spline = RectBivariateSpline(known, known, table[:-3, 0].view(13, 13).numpy())
    want = spline(np.arange(-9., 10).clip(known[0], known[-1]),
                  np.arange(-9., 10).clip(known[0], known[-1]))
    np.testing.assert_allclose(large[:-3, 0].view(19, 19).numpy(), want, atol=1e-4)


@pytest.mark.parametrize(('from_grid', 'to_grid'), [((1, 1), (4, 2)), ((2, 3), (9, 3)),
                                                    ((4, 4), (32, 1))])
def test_any_grid(from_grid: tuple[int, int], to_grid: tuple[int, int]):
    num_rows = (2 * from_grid[0] - 1) * (2 * from_grid[1] - 1) + 3
    resized = resize_bias_table(torch.ones(num_rows, 2), from_grid, to_grid)
    assert len(resized) == (2 * to_grid[0] - 1) * (2 * to_grid[1] - 1) + 3
    torch.testing.assert_close(resized, torch.ones_like(resized))
