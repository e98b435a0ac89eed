"""A model and a sampler, ready to make images.

Shapes: N images of H x W pixels, (h, w) token grid.
"""
from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from mmengine.config import Config
from torch import Tensor, nn

from ..config_errors import errors_explained
from ..registry import TASK_UTILS
from .image_noise import ImageNoise
from .networks import BAD_NUMBERS, Networks, networks_of
from .sampler import SamplingResult, SamplingState


@TASK_UTILS.register_module()
class ImageGenerator:
    """New and edited images from a model of type ``ADDP`` or ``MAGETraining``.

    Image i of a seed is the same in every batch: its noise is drawn from a generator of its own.

    Args:
        model: The model, in eval mode, or the functions that :func:`networks_of` made of it.
        sampler: Arguments of :class:`DenoisingSampler` that differ from the model's own.

    Raises:
        ValueError: If the model cannot generate, or the sampler does not fit it.
    """

    def __init__(self, model: nn.Module | Networks, sampler: dict | None = None) -> None:
        self.networks = model if isinstance(model, Networks) else networks_of(model)
        options = {'type': 'DenoisingSampler', **self.networks.sampler, **(sampler or {})}
        with errors_explained(Config(dict(sampler=options))):
            self.sampler = TASK_UTILS.build(options)
        self.num_tokens = self.networks.grid_size[0] * self.networks.grid_size[1]
        self.schedule = self.sampler.schedule_for(self.num_tokens)

    def generate(self, indices: Sequence[int], seed: int = 0,
                 record: bool | Collection[int] = False) -> SamplingResult:
        """New images.

        Args:
            indices: Numbers of the wanted images among those of the seed, 0 or more; one batch.
            seed: Any integer.
            record: Keep the state after each step, or after these steps k.
        """
        return self.sampler.sample(**self._new(indices, seed), record=record)

    def generate_steps(self, indices: Sequence[int], seed: int = 0) -> Iterator[SamplingState]:
        """As :meth:`generate`, step by step, see :meth:`DenoisingSampler.steps`."""
        return self.sampler.steps(**self._new(indices, seed))

    def edit(self, images: Tensor, token_mask: Tensor, indices: Sequence[int], seed: int = 0,
             record: bool | Collection[int] = False) -> SamplingResult:
        """Replace the masked tokens of images (paper App. E).

        Unless the sampler rescales, it starts at the step whose mask ratio is that of the image
        with the largest masked share (paper); an image with fewer masked tokens waits, re-decoded
        but with nothing revealed, until the ratio reaches it.

        Args:
            images: What the loop starts from, (N, 3, H, W) in [0, 1], or (1, 3, H, W) for N
                results of one image. Nothing that must not be seen may be in them, see
                :class:`Inpainting`.
            token_mask: (N, h, w) or (1, h, w) bool, True = to be replaced.
            indices: A number for each result, 0 or more; other numbers give other results.
            seed: Any integer.
            record: Keep the state after each step, or after these steps k.
        """
        return self.sampler.sample(**self._edited(images, token_mask, indices, seed), record=record)

    def edit_steps(self, images: Tensor, token_mask: Tensor, indices: Sequence[int],
                   seed: int = 0) -> Iterator[SamplingState]:
        """As :meth:`edit`, step by step, see :meth:`DenoisingSampler.steps`."""
        return self.sampler.steps(**self._edited(images, token_mask, indices, seed))

    def _new(self, indices: Sequence[int], seed: int) -> dict[str, Any]:
        networks = self.networks
        start = SamplingState.all_masked(
            len(indices), networks.image_size, networks.grid_size, networks.device)
        return dict(networks=networks, start=start, noise=ImageNoise(seed, indices))

    @torch.no_grad()
    def _edited(self, images: Tensor, token_mask: Tensor, indices: Sequence[int],
                seed: int) -> dict[str, Any]:
        networks = self.networks
        images, token_mask = images.to(networks.device), token_mask.to(networks.device)
        parts = images, networks.tokenize(images), token_mask
        start = SamplingState.from_image(
            *(part.expand(len(indices), *part.shape[1:]) for part in parts))
        share = max(start.num_masked) / token_mask[0].numel()
        first_step = 0 if self.sampler.rescale else self.schedule.start_step(share)
        return dict(networks=networks, start=start, noise=ImageNoise(seed, indices),
                    first_step=first_step)


def as_saved(images: Tensor) -> Tensor:
    """Images of any shape as uint8, where they are.

    Values are clamped, times 255, and cut off, not rounded (reference release): on average half a
    level darker than rounded ones, which metrics may notice.

    Args:
        images: Around [0, 1]; uint8 stays the same.
    """
    return images if images.dtype == torch.uint8 else (images.clamp(0, 1) * 255).byte()


def to_pixels(images: Tensor) -> Tensor:
    """Images (N, 3, H, W), RGB around [0, 1], to (N, H, W, 3) on the CPU, see :func:`as_saved`.

    Raises:
        FloatingPointError: If a value is not finite.
    """
    if not images.isfinite().all():
        raise FloatingPointError(f'The images of the model are not finite: {BAD_NUMBERS}.')
    return rearrange(as_saved(images), 'n c h w -> n h w c').cpu()


def from_pixels(pixels: np.ndarray) -> Tensor:
    """Pixels (N, H, W, 3) uint8 to images (N, 3, H, W) in [0, 1]."""
    return rearrange(torch.from_numpy(pixels), 'n h w c -> n c h w').float() / 255
