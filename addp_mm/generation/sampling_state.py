"""What a sampler holds between two steps, and what it hands back.

Shapes: N images of H x W pixels, (h, w) token grid, C code dims.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..diffusion import NoisySample


@dataclass
class SamplingState:
    """A batch between two steps.

    Attributes:
        images: x_t, (N, 3, H, W), RGB around [0, 1], not clamped. After a step it is None where
            the networks read no images and none was asked for.
        token_ids: (N, h, w) int64; what was drawn last where the mask is True.
        mask: m_t, (N, h, w) bool, True = unreliable.
        num_masked: Number of True of each image, known on the host.
        latents: What the images were decoded from, (N, C, h, w): codes where reliable, mapped
            distributions where not; None before the first step and where there are no images.
        step: The step k that led here; None at the start.
    """

    images: Tensor | None
    token_ids: Tensor
    mask: Tensor
    num_masked: list[int]
    latents: Tensor | None = None
    step: int | None = None

    @classmethod
    def all_masked(cls, num_images: int, image_size: tuple[int, int], grid_size: tuple[int, int],
                   device: torch.device | str = 'cpu') -> SamplingState:
        """The start of unconditional generation. Image and ids are placeholders, never read."""
        shape = (num_images, *grid_size)
        return cls(
            images=torch.full((num_images, 3, *image_size), 0.5, device=device),
            token_ids=torch.zeros(shape, dtype=torch.long, device=device),
            mask=torch.ones(shape, dtype=torch.bool, device=device),
            num_masked=[grid_size[0] * grid_size[1]] * num_images)

    @classmethod
    def from_image(cls, images: Tensor, token_ids: Tensor, mask: Tensor) -> SamplingState:
        """The start of editing: (N, 3, H, W) images, their ids and what is to be replaced."""
        return cls(images, token_ids, mask, mask.flatten(1).sum(dim=1).tolist())

    @property
    def tokens(self) -> NoisySample:
        """Ids and mask as the networks take them."""
        counts = tuple(self.mask[0].numel() - masked for masked in self.num_masked)
        if len(set(counts)) == 1:
            counts = counts[0]
        return NoisySample(self.token_ids, self.mask, num_reliable=counts)

    def to_cpu(self) -> SamplingState:
        """A copy on the CPU."""
        tensors = [None if t is None else t.detach().cpu().clone()
                   for t in (self.images, self.token_ids, self.mask, self.latents)]
        return SamplingState(*tensors[:3], list(self.num_masked), tensors[3], self.step)


@dataclass
class SamplingResult:
    """Generated images.

    Attributes:
        images: (N, 3, H, W), RGB clamped to [0, 1].
        token_ids: The ids of the last step, (N, h, w) int64.
        steps: The state after each wanted step, on the CPU.
    """

    images: Tensor
    token_ids: Tensor
    steps: list[SamplingState] = field(default_factory=list)
