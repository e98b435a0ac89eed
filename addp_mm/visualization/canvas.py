"""Pictures put together from arrays and lines of text: uint8 RGB, white ground."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

FONT_SIZE = 16
LINE_HEIGHT = 22
GAP = 4
WHITE = 255


def to_uint8(images: Tensor) -> np.ndarray:
    """Images (N, 3, H, W) to an (N, H, W, 3) uint8 array.

    Args:
        images: RGB in [0, 1]; what lies outside is clamped, NaN is drawn black.
    """
    images = images.detach().float().nan_to_num(0).clamp(0, 1).mul(255).round()
    return rearrange(images, 'n c h w -> n h w c').byte().cpu().numpy()


def fit(images: Tensor, side: int) -> Tensor:
    """Bring images to about ``side`` pixels.

    Smaller images are enlarged by a whole number, by nearest neighbour, so that their pixels stay
    squares; larger ones are averaged down.

    Args:
        images: (N, C, H, W).
        side: Longer side that is wanted. An enlarged one may come out larger, by less than twice.

    Returns:
        (N, C, H', W').
    """
    longer = max(images.shape[2:])
    if longer <= side:
        return F.interpolate(images, scale_factor=-(-side // longer), mode='nearest')
    size = [max(1, round(length * side / longer)) for length in images.shape[2:]]
    return F.interpolate(images.float(), size=size, mode='area')


def text_box(text: str, width: int | None = None, height: int | None = None,
             align: str = 'left') -> np.ndarray:
    """Draw black text, vertically in the middle of a white box.

    Args:
        text: One line or more.
        width: Width of the box in pixels; as wide as the text if None.
        height: Its height; as high as the text if None.
        align: 'left', 'center' or 'right'.

    Returns:
        (height, width, 3) uint8.
    """
    font = ImageFont.load_default(FONT_SIZE)
    lines = text.split('\n')
    widths = [round(font.getlength(line)) for line in lines]
    width = max(widths) + 2 * GAP if width is None else width
    height = len(lines) * LINE_HEIGHT if height is None else height
    box = Image.new('RGB', (width, height), 'white')
    draw = ImageDraw.Draw(box)
    top = (height - len(lines) * LINE_HEIGHT) // 2
    for i, (line, length) in enumerate(zip(lines, widths, strict=True)):
        free = width - length - 2 * GAP
        left = GAP + {'left': 0, 'center': free // 2, 'right': free}[align]
        draw.text((left, top + i * LINE_HEIGHT), line, fill='black', font=font)
    return np.asarray(box)


def join(parts: Sequence[np.ndarray], axis: int, gap: int = GAP) -> np.ndarray:
    """Put pictures below each other (``axis=0``) or beside each other (``axis=1``).

    Args:
        parts: (H_i, W_i, 3) uint8; the smaller ones are filled up with white.
        axis: Where they are lined up.
        gap: White pixels between two of them.

    Returns:
        (H, W, 3) uint8.
    """
    across = max(part.shape[1 - axis] for part in parts)
    lined_up = []
    for i, part in enumerate(parts):
        padding = [(0, 0), (0, 0), (0, 0)]
        padding[1 - axis] = (0, across - part.shape[1 - axis])
        padding[axis] = (gap if i else 0, 0)
        lined_up.append(np.pad(part, padding, constant_values=WHITE))
    return np.concatenate(lined_up, axis)


def frame(picture: np.ndarray) -> np.ndarray:
    """Put a white margin around a picture (H, W, 3)."""
    margin = (2 * GAP, 2 * GAP)
    return np.pad(picture, (margin, margin, (0, 0)), constant_values=WHITE)


def cover(images: Tensor, mask: Tensor, color: Sequence[float]) -> Tensor:
    """Paint over the masked tokens of images.

    Args:
        images: (N, 3, H, W), RGB in [0, 1].
        mask: (N, h, w) bool, True = painted over.
        color: RGB in [0, 1].

    Returns:
        (N, 3, H, W).
    """
    cells = F.interpolate(mask[:, None].float(), size=images.shape[2:], mode='nearest').bool()
    paint = torch.tensor(color, device=images.device)[:, None, None]
    return torch.where(cells, paint, images)
