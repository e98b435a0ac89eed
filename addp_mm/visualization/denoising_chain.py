"""The steps of one image's generation, with the masks (paper Fig. 8)."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .canvas import cover, fit
from .step_rows import check_steps, step_rows

MIN_SIDE = 96
MASK_COLOR = (0.55, 0.55, 0.55)
MASK_OPACITY = 0.75


def denoising_chain(images: Tensor, masks: Tensor,
                    labels: Sequence[str] | None = None) -> np.ndarray:
    """Draw the image after each step, and below it the same with its unreliable tokens covered.

    Args:
        images: (T, 3, H, W), RGB; what lies outside of [0, 1] is clamped.
        masks: (T, h, w) bool, True = unreliable.
        labels: A text above each step; its number from 1 if None.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        ValueError: If there is no step, or not as many masks and labels as images.
    """
    labels = [f'step {i + 1}' for i in range(len(images))] if labels is None else labels
    check_steps('denoising_chain', images, masks, labels)
    images = fit(images.float().clamp(0, 1), max(MIN_SIDE, *images.shape[2:]))
    covered = torch.lerp(images, cover(images, masks, MASK_COLOR), MASK_OPACITY)
    return step_rows({'image': images, 'unreliable\ntokens grey': covered}, labels)
