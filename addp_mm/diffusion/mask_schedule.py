"""Mask ratios: schedules over the steps of generation, and the distribution of training."""
from __future__ import annotations

import math

import torch

from ..registry import TASK_UTILS


def cosine_ratio(progress: float) -> float:
    """Share of masked tokens cos(pi/2 * progress) after a share ``progress`` of the steps."""
    return math.cos(math.pi / 2 * progress)


def linear_ratio(progress: float) -> float:
    """Share of masked tokens 1 - progress after a share ``progress`` of the steps."""
    return 1. - progress


@TASK_UTILS.register_module()
class MaskRatioDistribution:
    """Discrete truncated-normal distribution of mask ratios (paper Sec. D.2, Fig. 12).

    The candidates are the cosine schedule's ratios of ``num_steps`` steps inside
    [``min_ratio``, ``max_ratio``). Each is as likely as a normal density truncated to
    [``min_ratio``, ``max_ratio``] says at that ratio. The defaults give the reference release's 66
    ratios, 0.509 to 0.99988.

    Args:
        num_steps: Steps T of the schedule.
        mean: Mean of the normal density before truncation.
        std: Its standard deviation.
        min_ratio: Smallest ratio.
        max_ratio: Upper end of the ratios, itself left out.
        max_offset: The larger ratio is 1 to this many candidates further; 0: the same ratio.

    Raises:
        ValueError: If no candidate lies between the two ends, or an argument is out of range.
    """

    def __init__(self, num_steps: int = 100, mean: float = 0.55, std: float = 0.25,
                 min_ratio: float = 0.5, max_ratio: float = 1.0, max_offset: int = 5) -> None:
        if num_steps < 1 or std <= 0 or max_offset < 0:
            raise ValueError('num_steps must be at least 1, std positive and max_offset at least '
                             f'0, got {num_steps=}, {std=}, {max_offset=}.')
        candidates = [cosine_ratio(s / num_steps) for s in range(num_steps, -1, -1)]
        ratios = [r for r in candidates if min_ratio <= r < max_ratio]
        if not ratios:
            raise ValueError(f'No ratio of {num_steps} steps lies in [{min_ratio}, {max_ratio}).')
        self.ratios = torch.tensor(ratios, dtype=torch.float32)
        density = torch.exp(-0.5 * ((self.ratios.double() - mean) / std)**2)
        self.probs = density / density.sum()
        self.max_offset = max_offset

    def sample(self, generator: torch.Generator | None = None) -> tuple[float, float]:
        """Draw the mask ratios of m_t and of m_{t + offset}.

        Args:
            generator: CPU generator of the draw; the default one if None.

        Returns:
            The ratio at t and the one at t + offset, which is at least as large.
        """
        index = int(torch.multinomial(self.probs, 1, generator=generator))
        if not self.max_offset:
            return float(self.ratios[index]), float(self.ratios[index])
        offset = int(torch.randint(1, self.max_offset + 1, (1, ), generator=generator))
        return float(self.ratios[index]), self._ratio_at(index + offset)

    def next_ratio(self, ratio: float) -> float:
        """The ratio half of the largest offset after ``ratio``, to score held-out images with."""
        if not self.max_offset:
            return ratio
        index = int(torch.searchsorted(self.ratios, ratio))
        return max(ratio, self._ratio_at(index + (self.max_offset + 1) // 2))

    def _ratio_at(self, index: int) -> float:
        return float(self.ratios[min(index, len(self.ratios) - 1)])


@TASK_UTILS.register_module()
class TruncatedNormalMaskRatio:
    """Continuous truncated-normal distribution of mask ratios, as MAGE trains with.

    Args:
        mean: Mean of the normal density before truncation.
        std: Its standard deviation.
        min_ratio: Smallest ratio.
        max_ratio: Largest ratio.

    Raises:
        ValueError: If the ends are not 0 <= min_ratio < max_ratio <= 1, or std is not positive.
    """

    def __init__(self, mean: float = 0.55, std: float = 0.25, min_ratio: float = 0.5,
                 max_ratio: float = 1.0) -> None:
        if std <= 0 or not 0 <= min_ratio < max_ratio <= 1:
            raise ValueError('std must be positive and 0 <= min_ratio < max_ratio <= 1, got '
                             f'{std=}, {min_ratio=}, {max_ratio=}.')
        self.mean, self.std = mean, std
        self.min_ratio, self.max_ratio = min_ratio, max_ratio

    def sample(self, generator: torch.Generator | None = None) -> tuple[float, float]:
        """Draw one ratio with a CPU generator; both numbers are the same."""
        ends = torch.tensor([self.min_ratio, self.max_ratio], dtype=torch.float64)
        low, high = torch.special.ndtr((ends - self.mean) / self.std)
        quantile = low + (high - low) * torch.rand((), dtype=torch.float64, generator=generator)
        ratio = self.mean + self.std * float(torch.special.ndtri(quantile))
        ratio = min(max(ratio, self.min_ratio), self.max_ratio)
        return ratio, ratio

    def next_ratio(self, ratio: float) -> float:
        """The same ratio: there are no steps."""
        return ratio


@TASK_UTILS.register_module()
class FixedMaskRatio:
    """One constant mask ratio (paper Tab. 6, "fixed"), the same at t and at t + offset.

    Args:
        ratio: Share of masked tokens in (0, 1].

    Raises:
        ValueError: If the ratio is outside of (0, 1].
    """

    def __init__(self, ratio: float = 0.5) -> None:
        if not 0 < ratio <= 1:
            raise ValueError(f'ratio must lie in (0, 1], got {ratio}.')
        self.ratio = ratio

    def sample(self, generator: torch.Generator | None = None) -> tuple[float, float]:
        """The two ratios; nothing is drawn."""
        return self.ratio, self.ratio

    def next_ratio(self, ratio: float) -> float:
        """The same ratio: there is no later step."""
        return ratio
