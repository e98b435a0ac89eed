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
    lowest, highest = (float(value) for value in images.aminmax())
    is_dark = highest <= _DARK and not _are_whole(255 * images)
    if lowest < -_OVERSHOOT or highest > 1 + _OVERSHOOT or is_dark:
        raise ValueError(
            f'Expected pictures of RGB in [0, 1], got {lowest:.3g} to {highest:.3g}: the pipeline '
            'must give pixels of 0 to 255, without a Normalize, and model.data_preprocessor of the '
            'tokenizer divide them by 255 (mean=[0, 0, 0], std=[255, 255, 255], to_rgb=True).')


def _are_whole(pixels: Tensor) -> bool:
    return bool((pixels - pixels.round()).abs().max() < 1e-3)
