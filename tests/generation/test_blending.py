"""The soft edge around an edit."""
from __future__ import annotations

import torch

from addp_mm.generation import blend_weights


def test_weights_fall_around_the_masked_tokens() -> None:
    token_mask = torch.zeros(16, 16, dtype=torch.bool)
    token_mask[:, :4] = True
    weights = blend_weights(token_mask, (256, 256), sigma=15)
    assert weights.shape == (256, 256) and weights.min() >= 0 and weights.max() <= 1 + 1e-6
    # Grown by one token of 16 pixels: half at its edge, what a Gaussian says at the mask's.
    assert abs(weights[:, 79:81].mean() - 0.5) < 0.01
    normal = torch.special.ndtr(torch.tensor(16 / 15))
    assert abs(weights[:, 63:65].mean() - normal) < 0.01
    assert (weights[0].diff() <= 1e-6).all() and (weights[:, 130:] == 0).all()
    # The image's border does not count as kept.
    assert torch.allclose(weights[:, 0], torch.ones(256), atol=1e-3)


def test_a_blur_wider_than_the_image() -> None:
    token_mask = torch.tensor([[True, False], [False, False]])
    assert blend_weights(token_mask, (8, 8), sigma=4).isfinite().all()
