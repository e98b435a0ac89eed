from __future__ import annotations

import pytest
import torch

from addp_mm.dense.windows import join_windows, split_windows


@pytest.mark.parametrize('grid_size', [(4, 6), (5, 7), (1, 9), (2, 1)])
def test_join_undoes_split(grid_size: tuple[int, int]):
    features = torch.randn(3, *grid_size, 5)
    windows = split_windows(features, 2)
    assert windows.shape[1:] == (2, 2, 5)
    assert torch.equal(join_windows(windows, grid_size), features)


def test_windows_go_row_by_row_and_are_filled_with_zeros():
    features = torch.arange(1., 13).view(1, 3, 4, 1)
    windows = split_windows(features, 2)
    assert windows[0].flatten().tolist() == [1, 2, 5, 6]
    assert windows[1].flatten().tolist() == [3, 4, 7, 8]
    assert windows[2].flatten().tolist() == [9, 10, 0, 0]
