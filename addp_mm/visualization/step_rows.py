"""Rows of pictures, one column for each step of generation."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from .canvas import LINE_HEIGHT, cover, fit, frame, join, text_box, to_uint8

MIN_SIDE = 96
MASK_COLOR = (0.55, 0.55, 0.55)
MASK_OPACITY = 0.75


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


def principal_colors(latents: Tensor) -> Tensor:
    """The first three principal components of token embeddings as colours.

    The components are those of all tokens of all steps together, so that one colour means the same
    in each step. Each is stretched to [0, 1]; its sign is the one that makes the largest of its
    loadings positive.

    Args:
        latents: (T, C, h, w): codes where reliable, mapped distributions where not.

    Returns:
        (T, 3, h, w) in [0, 1]; 0.5 in components that do not vary.
    """
    steps, _, height, width = latents.shape
    tokens = rearrange(latents.double(), 't c h w -> (t h w) c')
    tokens = tokens - tokens.mean(dim=0)
    axes = torch.linalg.eigh(tokens.t() @ tokens).eigenvectors.flip(1)[:, :3]   # (C, 3)
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    values = F.pad(tokens @ axes, (0, 3 - axes.shape[1]))                   # (T h w, 3)
    low, high = values.amin(dim=0), values.amax(dim=0)
    # Below this share of the largest component a component is rounding noise.
    flat = high - low <= 1e-9 * (high - low).max().clamp(min=1e-300)
    colors = torch.where(flat, 0.5, (values - low) / (high - low).clamp(min=1e-300))
    return rearrange(colors, '(t h w) c -> t c h w', t=steps, h=height).float()


def token_embeddings(images: Tensor, latents: Tensor,
                     labels: Sequence[str] | None = None) -> np.ndarray:
    """Draw the image after each step, and below it the embeddings of its tokens as colours.

    Args:
        images: (T, 3, H, W), RGB; what lies outside of [0, 1] is clamped.
        latents: What they were decoded from, (T, C, h, w).
        labels: A text above each step; its number from 1 if None.

    Returns:
        (height, width, 3) uint8, RGB.

    Raises:
        ValueError: If there is no step, or not as many latents and labels as images.
    """
    labels = [f'step {i + 1}' for i in range(len(images))] if labels is None else labels
    check_steps('token_embeddings', images, latents, labels)
    images = fit(images.float().clamp(0, 1), max(MIN_SIDE, *images.shape[2:]))
    colors = F.interpolate(principal_colors(latents), images.shape[2:], mode='nearest')
    return step_rows({'image': images, 'token\nembeddings': colors}, labels)
