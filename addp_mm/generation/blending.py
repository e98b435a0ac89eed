"""The soft edge between an edited region and the image around it.

Shapes: (h, w) token grid, (H, W) pixels.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def blend_weights(token_mask: Tensor, image_size: tuple[int, int], sigma: float) -> Tensor:
    """MaskGIT's weights of an edited image: the masked tokens, one more around them, blurred.

    They are below 1 also on masked pixels near the edge: divide by the smallest weight among the
    masked pixels and clip at 1, so that nothing of these shows through.

    Args:
        token_mask: (h, w) bool, True = was replaced.
        image_size: (H, W).
        sigma: Standard deviation of the Gaussian blur in pixels. MaskGIT's release takes 1/16 of
            the shorter side less 1 pixel, 15 at 256 pixels.

    Returns:
        (H, W) in [0, 1], positive wherever a token was replaced.
    """
    grown = F.max_pool2d(token_mask[None, None].float(), 3, stride=1, padding=1)
    return _blur(F.interpolate(grown, image_size, mode='nearest'), sigma)[0, 0]


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (1, 1, H, W); the border is repeated outwards."""
    radius = round(3 * sigma)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma)**2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    padded = F.pad(images, [radius] * 4, mode='replicate')
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3))
