"""Rows of pictures, one column for each step of generation."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from .canvas import LINE_HEIGHT, frame, join, text_box, to_uint8


def spread_steps(num_steps: int, count: int = 10) -> list[int]:
    """At most ``count`` of the steps 0 .. ``num_steps`` - 1, evenly spread, with both ends."""
    if num_steps <= count:
        return list(range(num_steps))
    return [round(i * (num_steps - 1) / (count - 1)) for i in range(count)]


def step_rows(rows: Mapping[str, Tensor], labels: Sequence[str]) -> np.ndarray:
    """Draw rows of T pictures below a line of labels.

    Args:
        rows: For the text on the left of each row its pictures, (T, 3, H, W) in [0, 1].
        labels: A text above each column.

    Returns:
        (height, width, 3) uint8, RGB.
    """
    pixels = {name: to_uint8(images) for name, images in rows.items()}
    left_width = max(text_box(name).shape[1] for name in rows)
    width = max(next(iter(pixels.values())).shape[2], *(text_box(t).shape[1] for t in labels))
    header = [text_box('', left_width, LINE_HEIGHT)]
    header += [text_box(label, width, LINE_HEIGHT, 'center') for label in labels]
    lines = [join(header, axis=1)]
    for name, images in pixels.items():
        cells = [_widen(image, width) for image in images]
        lines.append(join([text_box(name, left_width, images.shape[1]), *cells], axis=1))
    return frame(join(lines, axis=0))


def check_steps(name: str, *parts: Sequence | Tensor) -> None:
    """Raise ValueError unless all parts have the same number of steps, at least one."""
    lengths = [len(part) for part in parts]
    if lengths[0] < 1 or len(set(lengths)) > 1:
        raise ValueError(f'{name} needs at least one step and the same number of steps in all its '
                         f'arguments, got {lengths}.')


def _widen(image: np.ndarray, width: int) -> np.ndarray:
    """An image in the middle of a wider white one."""
    free = width - image.shape[1]
    return np.pad(image, ((0, 0), (free // 2, free - free // 2), (0, 0)), constant_values=255)
