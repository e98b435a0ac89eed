"""Grey images, each stretched to its own range."""
from __future__ import annotations

import numpy as np
from PIL import Image

from .image_reader import upright

PERCENTILES = 0.1, 99.9


def is_grey(image: Image.Image) -> bool:
    """Whether an image of any mode has no colours."""
    if image.mode[0] in 'LIF1':
        return True
    red, green, blue = image.convert('RGB').split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def stretched(image: Image.Image) -> Image.Image:
    """A grey image, upright, its range as :data:`PERCENTILES` give it brought to 0 to 255.

    Args:
        image: The opened picture.

    Returns:
        An image of mode 'L'.
    """
    image = upright(image)
    if image.mode[0] not in 'IF':
        image = image.convert('L')
    values = np.asarray(image, np.float64)
    low, high = np.nanpercentile(values, PERCENTILES)
    if low == high:
        low, high = np.nanmin(values), np.nanmax(values)
    if low == high:     # of one colour
        low, high = 0., max(high, 255.)
    scaled = (np.nan_to_num(values, nan=low) - low) / (high - low) * 255
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))
