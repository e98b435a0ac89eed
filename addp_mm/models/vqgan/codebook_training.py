"""What a codebook needs while it is trained, beside gradients.

Shapes: N images, K codes, C code dims, (h, w) token grid, P = N * h * w places.
"""
from __future__ import annotations

import logging

import torch
from einops import rearrange
from mmengine.dist import all_reduce, broadcast
from mmengine.logging import print_log
from torch import Tensor, nn

from .vqgan import Codebook

COLLAPSED = 0.05
_MIN_MASS = 1e-5


def straight_through(latents: Tensor, codes: Tensor) -> Tensor:
    """Value of the codes, gradient to the latents as if they had not been quantised.

    Args:
        latents: (N, C, h, w).
        codes: (N, C, h, w).

    Returns:
        (N, C, h, w).
    """
    return latents + (codes - latents).detach()


class CodebookTraining(nn.Module):
    """Counts the use of the codes, moves them by moving averages, and revives dead ones.

    The codebook itself stays with its tokenizer; here is only the state that training adds. All
    counts and sums are those of all processes together, so that every process holds the same
    codes. Where an encoder gives a number that is not finite, all of it stays as it is.

    Args:
        num_codes: Number K of codes.
        code_dims: Length C of a code.
        ema_decay: Decay of the moving averages that move the codes (VQ-VAE, arXiv 1711.00937,
            appendix A.1: 0.99). None: the codes are moved by the gradient of the codebook loss.
        revive_after: A code that no place took for so many iterations in a row is set to the
            encoder's output at a random place of the batch. None: never.
        init_from_data: Set all codes in that way at the first iteration of a fresh training, unless
            they were loaded.
        window: Iterations over which the use is measured for the log.

    Raises:
        ValueError: If a number is out of its range.
    """

    def __init__(self, num_codes: int, code_dims: int, ema_decay: float | None = None,
                 revive_after: int | None = None, init_from_data: bool = False,
                 window: int = 100) -> None:
        super().__init__()
        if ema_decay is not None and not 0 < ema_decay < 1:
            raise ValueError(f'ema_decay must lie in (0, 1) or be None, got {ema_decay}.')
        if revive_after is not None and revive_after < 1:
            raise ValueError(f'revive_after must be at least 1 or None, got {revive_after}.')
        if window < 1:
            raise ValueError(f'window must be at least 1, got {window}.')
        self.ema_decay = ema_decay
        self.revive_after = revive_after
        self.init_from_data = init_from_data
        self.window = window
        self.register_buffer('iterations', torch.zeros((), dtype=torch.long))
        self.register_buffer('idle', torch.zeros(num_codes, dtype=torch.long))
        self.register_buffer('usage', torch.zeros(num_codes))
        if ema_decay is not None:
            self.register_buffer('ema_sizes', torch.ones(num_codes))
            self.register_buffer('ema_sums', torch.zeros(num_codes, code_dims))

    def forward(self, codebook: Codebook, latents: Tensor) -> Tensor:
        """Quantise a batch of training, and then move and revive codes.

        Args:
            codebook: The codes; changed in place, without a gradient.
            latents: Encoder outputs (N, C, h, w).

        Returns:
            The nearest codes (N, C, h, w) from before the change, differentiable with respect to
            the codebook where that takes gradients.
        """
        points = rearrange(latents.detach().float(), 'n c h w -> (n h w) c')
        if not self._all_finite(points):        # the step will be left out: so is what it changes
            return codebook.lookup(codebook.assign(latents.detach().nan_to_num()))
        if self.iterations == 0:
            self._start(codebook, points)
        token_ids = codebook.assign(latents.detach())
        codes = codebook.lookup(token_ids)
        with torch.no_grad():
            counts = token_ids.flatten().bincount(minlength=len(self.idle)).float()
            all_reduce(counts)
            self._count(counts)
            if self.ema_decay is not None:
                self._move(codebook.embedding.weight, points, token_ids.flatten(), counts)
            if self.revive_after is not None:
                self._revive(codebook.embedding.weight, points)
            self._warn_of_collapse()
        return codes

    def use(self) -> dict[str, Tensor]:
        """Use of the codes over about the last ``window`` iterations, for the log.

        Returns:
            ``codebook_perplexity`` in [1, K]: the exponential of the entropy of the codes' use;
            ``dead_codes``: how many were not taken at all.
        """
        probs = self.usage / self.usage.sum().clamp(min=1)
        entropy = -torch.special.xlogy(probs, probs).sum()
        return dict(codebook_perplexity=entropy.exp(), dead_codes=self._unused().sum().float())

    @staticmethod
    def _all_finite(points: Tensor) -> bool:
        """Whether the outputs of the encoders of all processes are finite."""
        is_finite = points.isfinite().all().float()
        all_reduce(is_finite, 'min')
        return bool(is_finite)

    def _unused(self) -> Tensor:
        return self.idle >= self.iterations.clamp(max=self.window)

    @torch.no_grad()
    def _start(self, codebook: Codebook, points: Tensor) -> None:
        weight = codebook.embedding.weight
        if self.init_from_data and not codebook.is_loaded:
            weight.copy_(_draw(points, len(weight)))
        if self.ema_decay is not None:
            self.ema_sizes.fill_(1)
            self.ema_sums.copy_(weight)

    def _count(self, counts: Tensor) -> None:
        self.iterations += 1
        self.idle.add_(1).masked_fill_(counts > 0, 0)
        self.usage.mul_(1 - 1 / self.window).add_(counts)

    def _move(self, weight: Tensor, points: Tensor, token_ids: Tensor, counts: Tensor) -> None:
        assert self.ema_decay is not None, 'only moving averages are moved'
        sums = torch.zeros_like(self.ema_sums).index_add_(0, token_ids, points)
        all_reduce(sums)
        self.ema_sizes.lerp_(counts, 1 - self.ema_decay)
        self.ema_sums.lerp_(sums, 1 - self.ema_decay)
        has_mass = self.ema_sizes > _MIN_MASS
        means = self.ema_sums / self.ema_sizes.clamp(min=_MIN_MASS)[:, None]
        weight.copy_(torch.where(has_mass[:, None], means, weight))

    def _revive(self, weight: Tensor, points: Tensor) -> None:
        # `idle` goes on counting until the code is taken, so each further period revives it anew.
        dead = (self.idle > 0) & (self.idle % self.revive_after == 0)
        if not dead.any():
            return
        drawn = _draw(points, int(dead.sum()))
        weight[dead] = drawn.to(weight.dtype)
        if self.ema_decay is not None:
            self.ema_sizes[dead] = 1
            self.ema_sums[dead] = drawn

    def _warn_of_collapse(self) -> None:
        if self.iterations % self.window:
            return
        share = 1 - self._unused().float().mean().item()
        if share < COLLAPSED:
            num_codes = len(self.idle)
            print_log(
                f'The codebook collapses: the last {self.window} iterations used {share:.1%} of '
                f'its {num_codes} codes. Revive unused codes (codebook.revive_after=100), start '
                'the codes from the data (codebook.init_from_data=True), move them by averages '
                '(codebook.ema_decay=0.99), lower the learning rate, or take fewer codes.',
                logger='current', level=logging.WARNING)


def _draw(points: Tensor, num: int) -> Tensor:
    """(num, C) of the (P, C) points at random, the same in every process; each once if P >= num."""
    order = torch.randperm(len(points), device=points.device)
    drawn = points[order[torch.arange(num, device=points.device) % len(points)]]
    broadcast(drawn)
    return drawn
