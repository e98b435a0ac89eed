"""Pictures on another scale than the tokenizer's stop a training at its first batch."""
from __future__ import annotations

from torch import Tensor

_OVERSHOOT = 0.25       # beyond [0, 1], of pictures that were resized as floats
_DARK = 3 / 255


def check_range(images: Tensor) -> None:
    """See that images can be RGB in [0, 1].

    Dark ones of whole pixel values are taken; a picture whose range was divided by 255 twice is as
    dark, but not of whole values.

    Args:
        images: (N, 3, H, W).

    Raises:
        ValueError: If they are on another scale.
    """
    lowest, highest = _extent(images)
    is_dark = highest <= _DARK and not _are_whole(255 * images)
    if _lies_beyond(lowest, highest) or is_dark:
        raise ValueError(
            f'Expected pictures of RGB in [0, 1], got {lowest:.3g} to {highest:.3g}: the pipeline '
            'must give pixels of 0 to 255, without a Normalize, and model.data_preprocessor of the '
            'tokenizer divide them by 255 (mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True).')


def check_ready(images: Tensor) -> None:
    """See that images handed to an encoder from outside can be floats of RGB in [0, 1].

    Args:
        images: (N, 3, H, W), also very dark ones.

    Raises:
        ValueError: If they are whole numbers, or on another scale.
    """
    if not images.is_floating_point():
        raise ValueError(f'Expected floats of RGB in [0, 1], got {images.dtype}: divide pixels of '
                         '0 to 255 by 255.')
    lowest, highest = _extent(images)
    if _lies_beyond(lowest, highest):
        raise ValueError(f'Expected RGB in [0, 1], got {lowest:.3g} to {highest:.3g}: divide '
                         'pixels of 0 to 255 by 255, and leave the normalisation to the encoder.')


def _extent(images: Tensor) -> tuple[float, float]:
    lowest, highest = images.aminmax()
    return float(lowest), float(highest)


def _lies_beyond(lowest: float, highest: float) -> bool:
    return lowest < -_OVERSHOOT or highest > 1 + _OVERSHOOT


def _are_whole(pixels: Tensor) -> bool:
    return bool((pixels - pixels.round()).abs().max() < 1e-3)
