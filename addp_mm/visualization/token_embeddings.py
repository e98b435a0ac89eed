"""What the embeddings of reliable and unreliable tokens hold, over the steps (paper Fig. 16)."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .canvas import fit
from .step_rows import check_steps, step_rows

MIN_SIDE = 96


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
    tokens = latents.double().movedim(1, -1).flatten(0, 2)                  # (T h w, C)
    tokens = tokens - tokens.mean(dim=0)
    axes = torch.linalg.eigh(tokens.t() @ tokens).eigenvectors.flip(1)[:, :3]   # (C, 3)
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    values = F.pad(tokens @ axes, (0, 3 - axes.shape[1]))                   # (T h w, 3)
    low, high = values.amin(dim=0), values.amax(dim=0)
    # Below this share of the largest component a component is rounding noise.
    flat = high - low <= 1e-9 * (high - low).max().clamp(min=1e-300)
    colors = torch.where(flat, 0.5, (values - low) / (high - low).clamp(min=1e-300))
    return colors.view(steps, height, width, 3).movedim(-1, 1).float()


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
