"""The loop of generation: predict tokens, keep the sure ones, decode the next images (Alg. 2).

Shapes: N images of H x W pixels, K codes, (h, w) token grid, L = h * w, N_s steps k.
"""
from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ..diffusion import NoisySample, remask
from ..models.layers import require_finite
from ..registry import TASK_UTILS
from .image_noise import ImageNoise, confidence, draw_ids
from .networks import BAD_NUMBERS, Networks, at_least_float32
from .schedule import UnmaskingSchedule


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
        num_reliable = counts[0] if len(set(counts)) == 1 else counts
        return NoisySample(self.token_ids, self.mask, num_reliable=num_reliable)

    def to_cpu(self) -> SamplingState:
        """A copy on the CPU."""
        return SamplingState(
            images=None if self.images is None else _to_cpu(self.images),
            token_ids=_to_cpu(self.token_ids), mask=_to_cpu(self.mask),
            num_masked=list(self.num_masked),
            latents=None if self.latents is None else _to_cpu(self.latents), step=self.step)


def _to_cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().clone()


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


DEFAULT_STEPS = 20              # reference release, with the cosine schedule
FINALS = ('soft', 'hard')


@TASK_UTILS.register_module()
class DenoisingSampler:
    """Alternating denoising over networks it knows only as functions (paper Fig. 5a, Alg. 2).

    The defaults are those of the reference release's 20-step script. The paper's headline numbers
    are made with one token per step: ``num_steps=256, schedule='linear'`` at 16 x 16 tokens.
    MAGE's own sampler is ``rounding='floor', final='hard'``.

    Args:
        num_steps: Number of steps, from 1 to the number of tokens; None: 20, or one for each
            token where there are fewer.
        schedule: 'cosine' or 'linear', see :class:`UnmaskingSchedule`.
        temperature: Weight of the Gumbel noise in the confidence, at least 0.
        dynamic: Lower the temperature linearly to 0 over the steps (paper Tab. 11); else it stays.
        top_p: In (0, 1]: draw from the smallest set of codes with this probability (Tab. 10); 1
            turns it off. The confidence does not change with it.
        rounding: 'ceil' or 'floor', see :class:`UnmaskingSchedule`.
        final: 'soft': at least one token is still masked in the last image and shown as the
            mapped distribution (reference release). 'hard': the last image is decoded from codes
            alone. Networks that read no images always end hard.
        rescale: Of editing. False: start at the step whose mask ratio is the masked share (paper).
            True: take all steps, the mask ratio counted from the tokens masked at the start
            (reference release). New images are the same either way.

    Raises:
        ValueError: If an argument is out of range.
        FloatingPointError: While it generates, if the networks give numbers that are not finite.
    """

    def __init__(self, num_steps: int | None = None, schedule: str = 'cosine',
                 temperature: float = 6.0, dynamic: bool = True, top_p: float = 1.0,
                 rounding: str = 'ceil', final: str = 'soft', rescale: bool = False) -> None:
        UnmaskingSchedule(DEFAULT_STEPS if num_steps is None else num_steps, schedule, rounding)
        for name, number in (('temperature', temperature), ('top_p', top_p)):
            if not isinstance(number, Real):
                raise ValueError(f'{name} must be a number, got {number!r}.')
        if not 0 <= temperature < math.inf:
            raise ValueError(f'temperature must be at least 0 and finite, got {temperature}.')
        if not 0 < top_p <= 1:
            raise ValueError(f'top_p must lie in (0, 1], got {top_p}; 1 draws from all codes.')
        if final not in FINALS:
            raise ValueError(f'final must be one of {FINALS}, got {final!r}.')
        for name, value in (('dynamic', dynamic), ('rescale', rescale)):
            if value not in (True, False):      # a word such as 'False' would be taken for True
                raise ValueError(f'{name} must be True or False, got {value!r}.')
        self.num_steps = num_steps
        self.schedule = schedule
        self.temperature = temperature
        self.dynamic = dynamic
        self.top_p = top_p
        self.rounding = rounding
        self.final = final
        self.rescale = rescale

    def options(self, num_tokens: int) -> dict[str, Any]:
        """The settings as they are used for new images of so many tokens."""
        settings = {**vars(self), 'num_steps': self.schedule_for(num_tokens).num_steps}
        del settings['rescale']
        return settings

    def schedule_for(self, num_tokens: int) -> UnmaskingSchedule:
        """The schedule for images of so many tokens.

        Raises:
            ValueError: If there are more steps than tokens.
        """
        num_steps = self.num_steps
        if num_steps is None:
            num_steps = min(DEFAULT_STEPS, num_tokens)
        if num_steps > num_tokens:
            raise ValueError(f'num_steps must be at most the number of tokens of an image, '
                             f'{num_tokens}, got {num_steps}.')
        return UnmaskingSchedule(num_steps, self.schedule, self.rounding)

    @torch.no_grad()
    def sample(self, networks: Networks, start: SamplingState, noise: ImageNoise,
               first_step: int = 0,
               record: bool | Collection[int] = False) -> SamplingResult:
        """Run the loop.

        Args:
            networks: The functions of a model.
            start: All masked for new images; partly masked for editing. Known tokens never change.
            noise: Noise of the batch.
            first_step: The step to start at.
            record: Keep the state after each step, images included, or after these steps k.

        Returns:
            The images of the last step.
        """
        kept = []
        for state in self.steps(networks, start, noise, first_step, record):
            if _is_wanted(state.step, record):
                kept.append(state.to_cpu())
        assert state.images is not None, 'the last step decodes'
        return SamplingResult(state.images.clamp(0, 1), state.token_ids, kept)

    @torch.no_grad()
    def steps(self, networks: Networks, start: SamplingState, noise: ImageNoise,
              first_step: int = 0,
              wanted: bool | Collection[int] = True) -> Iterator[SamplingState]:
        """Run the loop step by step, to show how far it is.

        Args:
            networks: See :meth:`sample`, also for the rest.
            start: All masked, or partly masked.
            noise: Noise of the batch.
            first_step: The step to start at.
            wanted: After which steps k images are wanted; True: after each. Where the networks
                read images, there are some after each step anyway.

        Yields:
            The state after each step, where the networks are; the last one has images.
        """
        num_tokens, state = start.mask[0].numel(), start
        schedule = self.schedule_for(num_tokens)
        totals = start.num_masked if self.rescale else [num_tokens] * len(start.num_masked)
        for step in range(first_step, schedule.num_steps):
            last = step == schedule.num_steps - 1
            hard = last and (self.final == 'hard' or not networks.reads_images)
            counts = [0 if hard else schedule.num_masked(step, total, masked)
                      for total, masked in zip(totals, state.num_masked, strict=True)]
            decode = networks.reads_images or last or _is_wanted(step, wanted)
            state = self.step(networks, state, noise, schedule.progress(step), counts, decode)
            state.step = step
            yield state

    def step(self, networks: Networks, state: SamplingState, noise: ImageNoise, progress: float,
             counts: list[int], decode: bool = True) -> SamplingState:
        """One step: predict, draw, mask again, decode.

        Args:
            networks: The functions of a model.
            state: The batch before the step.
            noise: Noise of the batch.
            progress: Share of the steps that are done after this one.
            counts: For each image the number of tokens masked after the step.
            decode: Whether the images are wanted.

        Returns:
            The batch after the step.
        """
        grid_size, device = state.mask.shape[1:], state.mask.device
        logits = networks.pixel_to_token(state.images, state.tokens)
        log_probs = at_least_float32(logits).log_softmax(dim=1)
        probs = log_probs.exp()
        require_finite(probs, f'The logits of the model are not finite: {BAD_NUMBERS}.')
        drawn = draw_ids(probs, noise.uniform(grid_size, device), self.top_p)
        token_ids = torch.where(state.mask, drawn, state.token_ids)
        gumbel = noise.gumbel(grid_size, device)
        sureness = confidence(log_probs, token_ids, state.mask,
                              self.temperature_at(progress) * gumbel)
        mask = remask(sureness, _as_count(counts, device))
        state = SamplingState(None, token_ids, mask, counts)
        if decode:
            state.latents = networks.token_to_latent(state.tokens, probs)
            state.images = networks.latent_to_pixel(state.latents)
        return state

    def temperature_at(self, progress: float) -> float:
        """The temperature when a share ``progress`` of the steps is done."""
        return self.temperature * (1 - progress) if self.dynamic else self.temperature


def _is_wanted(step: int | None, wanted: bool | Collection[int]) -> bool:
    return wanted if isinstance(wanted, bool) else step in wanted


def _as_count(counts: list[int], device: torch.device) -> int | Tensor:
    """One number where all are equal: it need not travel to the device."""
    return counts[0] if len(set(counts)) == 1 else torch.tensor(counts).to(
        device, non_blocking=True)
