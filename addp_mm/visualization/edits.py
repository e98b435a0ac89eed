"""An image, what of it was replaced, and several results (paper Fig. 13 to 15)."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .canvas import LINE_HEIGHT, cover, fit, frame, join, text_box, to_uint8

MASK_COLOR = (0.6, 0.6, 0.6)
REDRAWN_COLOR = (1., 0.2, 0.2)
REDRAWN_OPACITY = 0.6
LINE_COLOR = 128
SIDE = 192
GRID_SIDE = 384


def edits(image: Tensor, mask: Tensor, results: Tensor,
          titles: Sequence[str] = ('image', 'kept', 'results')) -> np.ndarray:
    """Draw one row for one image; stack several with :func:`edit_rows`.

    Args:
        image: (3, H, W), RGB in [0, 1].
        mask: (H, W) bool, True = was replaced.
        results: (N, 3, H, W) in [0, 1].
        titles: What stands above the image, above the image with its mask painted grey, and above
            the first result.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        ValueError: If there is no result, or the sizes differ.
    """
    return edit_rows([(image, mask, results)], titles)


def edit_rows(rows: Sequence[tuple[Tensor, Tensor, Tensor]],
              titles: Sequence[str] = ('image', 'kept', 'results')) -> np.ndarray:
    """Draw a row for each image, see :func:`edits`.

    Args:
        rows: For each image the arguments ``image``, ``mask`` and ``results`` of :func:`edits`.
        titles: See :func:`edits`.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        ValueError: If there is no row or a row without result, or sizes within a row differ.
    """
    if not rows:
        raise ValueError('edit_rows needs at least one row, got none.')
    lines = [_row(*row) for row in rows]
    labels = [text_box(title, line.shape[1], LINE_HEIGHT, 'center')
              for title, line in zip(titles, lines[0], strict=False)]
    top, *others = lines
    columns = [join([label, cell], axis=0) for label, cell in zip(labels, top, strict=False)]
    columns += [join([text_box('', cell.shape[1], LINE_HEIGHT), cell], axis=0)
                for cell in top[len(labels):]]
    return frame(join([join(columns, axis=1), *(join(line, axis=1) for line in others)], axis=0))


def redrawn_tokens(image: Tensor, token_mask: Tensor) -> np.ndarray:
    """Draw an image with the grid of its tokens, and red what is redrawn.

    Args:
        image: (3, H, W), RGB in [0, 1].
        token_mask: (h, w) bool, True = redrawn; the tokens that cover the image.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    images = fit(image[None], GRID_SIDE)
    covered = cover(images, token_mask[None], REDRAWN_COLOR)
    pixels = to_uint8(torch.lerp(images, covered, REDRAWN_OPACITY))[0]
    for axis, count in enumerate(token_mask.shape):
        borders = [round(i * pixels.shape[axis] / count) for i in range(1, count)]
        np.moveaxis(pixels, axis, 0)[borders] = LINE_COLOR
    return pixels


def _row(image: Tensor, mask: Tensor, results: Tensor) -> list[np.ndarray]:
    if not len(results) or results.shape[1:] != image.shape or mask.shape != image.shape[1:]:
        raise ValueError(f'A row of edits needs a mask and results of the size of its image '
                         f'{tuple(image.shape)}, got {tuple(mask.shape)} and '
                         f'{tuple(results.shape)}.')
    paint = torch.tensor(MASK_COLOR, device=image.device)[:, None, None]
    kept = torch.where(mask, paint, image)
    return list(to_uint8(fit(torch.stack([image, kept, *results]), SIDE)))
