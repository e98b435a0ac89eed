"""From images in [0, 1] to bytes, as the reference release writes them."""
from __future__ import annotations

from torch import Tensor


def to_pixels(images: Tensor) -> Tensor:
    """Images (N, 3, H, W) to (N, H, W, 3) uint8 on the CPU.

    Values are clamped, times 255, and cut off, not rounded (reference release): on average half a
    level darker than rounded ones, which metrics may notice.

    Args:
        images: RGB around [0, 1].
    """
    return (images.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).cpu()
