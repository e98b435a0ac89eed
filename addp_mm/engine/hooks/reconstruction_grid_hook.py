"""A picture of reconstructions, beside the curves."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torchvision.utils import make_grid

from ...registry import HOOKS
from ...visualization.canvas import to_uint8


@HOOKS.register_module()
class ReconstructionGridHook(Hook):
    """Sends held-out images and their reconstructions to every backend of the visualizer.

    The images are the first of the validation (of the main process), the upper row of each pair
    shows them, the lower one their reconstructions. How often follows from the validation loop's
    ``val_interval``, in its epochs or iterations.

    Args:
        num_images: Number of images.
        columns: Images in a row.
        interval: Draw after every so many validations.
        name: Name of the picture.

    Raises:
        ValueError: If a number is not positive.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, num_images: int = 16, columns: int = 8, interval: int = 1,
                 name: str = 'reconstructions') -> None:
        if min(num_images, columns, interval) < 1:
            raise ValueError('ReconstructionGridHook needs positive numbers, got num_images='
                             f'{num_images}, columns={columns}, interval={interval}.')
        self.num_images = num_images
        self.columns = columns
        self.interval = interval
        self.name = name
        self._validations = 0
        self._pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def before_val_epoch(self, runner: Runner) -> None:
        """Start with an empty grid."""
        self._pairs.clear()

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Sequence[dict] | None = None) -> None:
        """Keep the first images.

        Args:
            runner: The runner.
            batch_idx: Not read.
            data_batch: Not read.
            outputs: For each image ``image`` and ``reconstruction``, (3, H, W) in [0, 1].
        """
        for output in (outputs or ())[:self.num_images - len(self._pairs)]:
            self._pairs.append((output['image'].cpu(), output['reconstruction'].cpu()))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Draw the grid.

        Args:
            runner: The runner.
            metrics: Not read.
        """
        self._validations += 1
        if self._pairs and (self._validations - 1) % self.interval == 0:
            grid = draw_pairs(self._pairs, self.columns)
            runner.visualizer.add_image(self.name, grid, step=runner.iter)
        self._pairs.clear()


def draw_pairs(pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], columns: int) -> np.ndarray:
    """Rows of images, each with the row of their reconstructions below it.

    Args:
        pairs: Image and reconstruction, each (3, H, W) in [0, 1].
        columns: Images in a row.

    Returns:
        (height, width, 3) uint8.
    """
    rows = [pairs[i:i + columns] for i in range(0, len(pairs), columns)]
    blank = [torch.ones_like(pairs[0][0])]
    tiles = []
    for row in rows:
        for images in zip(*row, strict=True):
            tiles += [*images, *blank * (min(columns, len(pairs)) - len(row))]
    grid = make_grid(torch.stack(tiles).float(), nrow=min(columns, len(pairs)), pad_value=1.)
    return to_uint8(grid[None])[0]
