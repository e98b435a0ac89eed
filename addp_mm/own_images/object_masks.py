"""Reads masks of one object each, as editors and other tools store them.

Shapes: H x W pixels of a mask.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ImageOps

from ..datasets.image_reader import open_picture, read_values

# Pillow's modes whose numbers say themselves what is marked; others go through colours.
_NUMBERS = ('1', 'L', 'LA', 'I', 'I;16', 'I;16L', 'I;16B', 'F', 'RGB', 'RGBA')
_WHITE_OF_8_BITS, _WHITE_OF_16_BITS = 255, 65535
_SAME = 0.9         # overlap of two masks that differ at the edges at most


def read_object_mask(path: Path) -> np.ndarray:
    """Read what a mask marks.

    Of two values, of which one is 0, the other marks the object; of others the brighter half of the
    range does. Of a transparent picture the opaque places do, unless its colours say it.

    Args:
        path: A picture file.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: If it cannot be read, or does not tell what it marks; the message does not name
            the file.
    """
    values = _stored_values(path)
    if values.ndim == 2:
        return _marked(values)
    if values.shape[-1] == 3:
        return _marked_by_colour(values)
    colours, alpha = values[..., :-1], values[..., -1]
    if np.ptp(colours, (0, 1)).max() == 0 and alpha.min() < _WHITE_OF_8_BITS:
        return _marked(alpha)
    if np.ptp(alpha) == 0:
        return _marked_by_colour(colours)
    opaque, coloured = _marked(alpha), _marked_by_colour(colours)
    if (opaque & coloured).sum() < _SAME * (opaque | coloured).sum():
        raise ValueError('its colours mark other places than its transparency does')
    return opaque


def check_one_page(path: Path) -> None:
    """Raise ValueError if a file has several pages of one size, of which one would be read."""
    picture = open_picture(path.read_bytes())
    size, num_pages = picture.size, getattr(picture, 'n_frames', 1)
    if num_pages == 1:
        return
    picture.seek(1)
    if picture.size == size:        # not a smaller copy for viewers
        raise ValueError(f'it has {num_pages} pages, expected one')


def _stored_values(path: Path) -> np.ndarray:
    """(H, W) or (H, W, channels); the last of 2 or 4 channels is the transparency."""
    check_one_page(path)
    picture = open_picture(path.read_bytes())
    if picture.mode in _NUMBERS:
        return read_values(path)
    return np.asarray(ImageOps.exif_transpose(picture).convert('RGBA'))


def _marked_by_colour(colours: np.ndarray) -> np.ndarray:
    """By the brightest channel of (H, W, channels)."""
    grey = colours.max(-1)
    if np.ptp(grey) == 0 and np.ptp(colours, (0, 1)).max() > 0:
        raise ValueError('its colours are equally bright, expected black and white')
    return _marked(grey)


def _marked(values: np.ndarray) -> np.ndarray:
    """By (H, W) numbers."""
    if not np.isfinite(values).all():
        raise ValueError('it has values that are no finite numbers')
    found = np.unique(values)
    if len(found) == 1 or (len(found) == 2 and 0 in found):
        return values != 0
    marked = values > _middle(found)
    if not marked.any() or marked.all():
        raise ValueError(f'it has {len(found)} values from {found[0]} to {found[-1]}, expected '
                         'two, of which one is 0')
    return marked


def _middle(found: np.ndarray) -> float:
    """Between black and white, where pictures of such values have them."""
    if found.dtype == np.uint8:
        return _WHITE_OF_8_BITS / 2
    if found.dtype.kind in 'iu' and found[0] >= 0 and found[-1] <= _WHITE_OF_16_BITS:
        return _WHITE_OF_16_BITS / 2
    return (float(found[0]) + float(found[-1])) / 2
