"""The mask ratios that training draws (paper Sec. D.2, Fig. 12)."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

NUM_DRAWS = 4096
NUM_BINS = 20
MAX_TICKS = 300


class MaskRatio(Protocol):
    """A distribution of mask ratios."""

    def sample(self, generator: torch.Generator | None = None) -> tuple[float, float]:
        """Draw the ratio at t and the one at t + offset."""


@runtime_checkable
class DiscreteMaskRatio(Protocol):
    """A distribution over some ratios, ascending, and how probable each is."""

    ratios: Sequence[float]
    probs: Sequence[float]


def ratio_table(mask_ratio: MaskRatio) -> tuple[np.ndarray, np.ndarray]:
    """The ratios of a distribution, ascending, and the probability of each.

    Args:
        mask_ratio: Where it has no ``ratios`` and ``probs``, 4096 draws stand for it.

    Returns:
        Ratios and probabilities, (R,) each.
    """
    if isinstance(mask_ratio, DiscreteMaskRatio):
        return np.asarray(mask_ratio.ratios), np.asarray(mask_ratio.probs)
    generator = torch.Generator().manual_seed(0)
    draws = [mask_ratio.sample(generator)[0] for _ in range(NUM_DRAWS)]
    ratios, counts = np.unique(draws, return_counts=True)
    return ratios, counts / NUM_DRAWS


def evenly_spaced_ratios(mask_ratio: MaskRatio, count: int) -> list[float]:
    """Ratios at even spaces of the ascending list of those that training draws.

    Args:
        mask_ratio: The distribution.
        count: Number of ratios; fewer are returned where the distribution has fewer.

    Returns:
        Ascending ratios, the smallest and the largest among them.
    """
    ratios, _ = ratio_table(mask_ratio)
    places = np.linspace(0, len(ratios) - 1, min(count, len(ratios))).round().astype(int)
    return [float(ratio) for ratio in ratios[places]]


def draw_mask_ratios(mask_ratio: MaskRatio) -> Figure:
    """Draw the distribution over the share of masked tokens and, if it has steps, over time.

    Args:
        mask_ratio: The distribution. One with ``ratios`` and ``probs`` is taken to follow the
            cosine schedule.

    Returns:
        A figure of one or two panels.
    """
    ratios, probs = ratio_table(mask_ratio)
    has_steps = hasattr(mask_ratio, 'ratios')
    figure = Figure(figsize=(13 if has_steps else 6.5, 4), layout='constrained')
    axes = figure.subplots(1, 2 if has_steps else 1, squeeze=False)[0]
    _draw_over_ratios(axes[0], ratios, probs)
    if has_steps:
        _draw_over_time(axes[1], ratios, probs)
    return figure


def _draw_over_ratios(axes: Axes, ratios: np.ndarray, probs: np.ndarray) -> None:
    """A histogram, with a tick for each ratio if they can be told apart."""
    label = 'share of masked tokens'
    axes.hist(ratios, bins=np.linspace(0, 1, NUM_BINS + 1).tolist(), weights=probs, color='C0',
              edgecolor='white')
    if len(ratios) <= MAX_TICKS:
        axes.vlines(ratios, 0, 0.04, transform=axes.get_xaxis_transform(), color='black',
                    linewidth=1)
        label += f' (number of ratios, each at a tick: {len(ratios)})'
    axes.set(xlabel=label, ylabel=f'probability of an interval of {1 / NUM_BINS}', xlim=(0, 1),
             title=f'How many tokens training masks (mean share {ratios @ probs:.3f})')


def _draw_over_time(axes: Axes, ratios: np.ndarray, probs: np.ndarray) -> None:
    """Bars at t / T = 1 - 2 / pi * arccos(ratio), where the cosine schedule has the ratio."""
    time = 1 - 2 / np.pi * np.arccos(np.clip(ratios, 0, 1))
    width = 0.8 * np.diff(time).min() if len(time) > 1 else 0.01
    axes.bar(time, probs, width=width, color='C0')
    axes.set(xlabel='time t / T (0: no token masked, 1: all)',
             ylabel=f'probability of each of {len(ratios)} steps',
             title='Which steps of the chain training sees', xlim=(0, 1))
