"""Pictures of what a model generates and edits (paper Fig. 7, 8, 13 and 16)."""
from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..generation import SamplingResult, from_pixels
from ..visualization import (
    denoising_chain,
    edit_rows,
    sample_grid,
    spread_steps,
    token_embeddings,
)
from .inferencer import ADDPInferencer


def draw_generation(inferencer: ADDPInferencer, num_images: int = 16, seed: int = 0,
                    batch_size: int = 16, **sampler: Any) -> dict[str, np.ndarray]:
    """Generate images and draw them.

    Args:
        inferencer: The model.
        num_images: How many images.
        seed: Any integer.
        batch_size: Images at a time.
        **sampler: Options of the sampler.

    Returns:
        Pictures (height, width, 3) uint8: 'samples', the images; 'steps', how the first one came
        about, with its masks; 'embeddings', the token embeddings of these steps as colours.
    """
    num_steps = inferencer.generator(**sampler).schedule.num_steps
    steps = spread_steps(num_steps)
    batches = inferencer.generate_batches(range(1), seed, record=steps, **sampler)
    _, first = next(batches)
    images = inferencer.generate(num_images, seed, batch_size=batch_size, **sampler)
    return dict(
        samples=sample_grid(from_pixels(images)),
        steps=draw_steps(first, 0, num_steps),
        embeddings=draw_embeddings(first, 0, num_steps))


def draw_lower_halves(inferencer: ADDPInferencer, images: torch.Tensor, num_samples: int = 4,
                      seed: int = 0, **sampler: Any) -> np.ndarray:
    """Inpaint the lower half of images, several times each.

    Args:
        inferencer: The model.
        images: (N, 3, H, W), RGB in [0, 1].
        num_samples: Results for each image.
        seed: Any integer.
        **sampler: Options of the sampler.

    Returns:
        (height, width, 3) uint8, RGB: a row for each image.
    """
    mask = torch.zeros(images.shape[2:], dtype=torch.bool)
    mask[images.shape[2] // 2:] = True
    results = [inferencer.edit(image, mask, num_samples, seed, **sampler) for image in images]
    return edit_rows([(image, mask, from_pixels(result))
                      for image, result in zip(images, results, strict=True)])


def draw_steps(result: SamplingResult, place: int, num_steps: int) -> np.ndarray:
    """The recorded steps of one image of a batch, with its masks."""
    return denoising_chain(_of(result, 'images', place), _of(result, 'mask', place),
                           _labels(result, num_steps))


def draw_embeddings(result: SamplingResult, place: int, num_steps: int) -> np.ndarray:
    """The token embeddings of the recorded steps of one image of a batch."""
    return token_embeddings(_of(result, 'images', place), _of(result, 'latents', place),
                            _labels(result, num_steps))


def _of(result: SamplingResult, name: str, place: int) -> torch.Tensor:
    return torch.stack([getattr(state, name)[place] for state in result.steps])


def _labels(result: SamplingResult, num_steps: int) -> list[str]:
    return [f'step {state.step + 1} of {num_steps}' for state in result.steps
            if state.step is not None]
