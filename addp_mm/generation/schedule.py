"""How many tokens stay masked after each step of generation.

L tokens of an image, N steps k = 0 .. N - 1.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from ..diffusion import cosine_ratio, linear_ratio
from ..whole_numbers import check_whole

RATIOS = {'cosine': cosine_ratio, 'linear': linear_ratio}
ROUNDINGS = ('ceil', 'floor')


@dataclass(frozen=True)
class UnmaskingSchedule:
    """Masked tokens over the steps (paper Alg. 2, Sec. D.4).

    Attributes:
        num_steps: Number N of steps.
        name: 'cosine' or 'linear', the mask ratio over the steps done.
        rounding: 'ceil': up, at least 1 (reference release). 'floor': down, at least 1, and at
            least one token is revealed in each step (MAGE, MaskGIT).

    Raises:
        ValueError: If a name is unknown, there is no step, or their number is not whole.
    """

    num_steps: int
    name: str = 'cosine'
    rounding: str = 'ceil'

    def __post_init__(self) -> None:
        check_whole(num_steps=self.num_steps)
        if self.num_steps < 1:
            raise ValueError(f'num_steps must be at least 1, got {self.num_steps}.')
        if self.name not in RATIOS:
            raise ValueError(f'schedule must be one of {tuple(RATIOS)}, got {self.name!r}.')
        if self.rounding not in ROUNDINGS:
            raise ValueError(f'rounding must be one of {ROUNDINGS}, got {self.rounding!r}.')

    def progress(self, step: int) -> float:
        """Share (k + 1) / N of the steps that are done after step k."""
        return (step + 1) / self.num_steps

    def num_masked(self, step: int, total: int, masked: int) -> int:
        """Number of masked tokens after a step.

        Args:
            step: The step k.
            total: How many tokens a mask ratio of 1 means: L, or fewer for a scaled schedule.
            masked: How many are masked before the step; never fewer than after it.

        Returns:
            A number in [min(1, masked), masked].
        """
        exact = self._exact_num_masked(step, total)
        if self.rounding == 'ceil':
            return min(masked, max(1, math.ceil(exact)))
        return min(masked, max(1, min(masked - 1, math.floor(exact))))

    def _exact_num_masked(self, step: int, total: int) -> float | Fraction:
        """The number before it is rounded.

        A cosine is computed in float64, as the reference release counts here; training counts in
        float32. A line is a fraction, which rounding errors cannot push over a whole number.
        """
        if self.name == 'linear':
            return Fraction(total * (self.num_steps - step - 1), self.num_steps)
        return RATIOS[self.name](self.progress(step)) * total

    def start_step(self, share: float) -> int:
        """The step to start at when a share of the tokens is masked (paper App. E).

        The inverse of the mask ratio, rounded; at least one step is left.

        Args:
            share: Masked share of the tokens in [0, 1].

        Returns:
            A step in [0, N - 1].
        """
        done = 2 / math.pi * math.acos(share) if self.name == 'cosine' else 1 - share
        return min(self.num_steps - 1, round(self.num_steps * done))
