"""Windows of a feature map, for attention that stays inside of them.

Shapes: N images, (h, w) grid, s window size, M = N * windows of one image, C channels.
"""
from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def split_windows(features: Tensor, window_size: int) -> Tensor:
    """Cut a map into windows; the bottom and right ones are filled up with zeros.

    Args:
        features: (N, h, w, C).
        window_size: Side s of the square windows in grid places.

    Returns:
        (M, s, s, C), image by image, row by row.
    """
    n, height, width, channels = features.shape
    rows, cols = math.ceil(height / window_size), math.ceil(width / window_size)
    features = F.pad(features, (0, 0, 0, cols * window_size - width,
                                0, rows * window_size - height))
    features = features.view(n, rows, window_size, cols, window_size, channels)
    return features.transpose(2, 3).reshape(-1, window_size, window_size, channels)


def join_windows(windows: Tensor, grid_size: tuple[int, int]) -> Tensor:
    """Undo :func:`split_windows` and cut off what it filled up.

    Args:
        windows: (M, s, s, C).
        grid_size: (h, w) of the map that was cut.

    Returns:
        (N, h, w, C).
    """
    _, window_size, _, channels = windows.shape
    height, width = grid_size
    rows, cols = math.ceil(height / window_size), math.ceil(width / window_size)
    features = windows.view(-1, rows, cols, window_size, window_size, channels).transpose(2, 3)
    return features.reshape(-1, rows * window_size, cols * window_size,
                            channels)[:, :height, :width]
