"""Scores of generated images over a setting of the sampler (paper Fig. 6)."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, ScalarFormatter

SCALES = ('linear', 'log2', 'symlog')


def draw_sweep(rows: Sequence[Mapping[str, Any]], x: str, scores: Mapping[str, str],
               series: str | None = None, scale: str = 'linear') -> Figure:
    """Draw a panel for each score, with a line for each series.

    Args:
        rows: For each point its setting, its scores and its series, by name.
        x: Name of the setting on the horizontal axis.
        scores: The scores to draw, and what their axes are called.
        series: Name of what tells the lines apart; None: there is one line.
        scale: 'linear', 'log2' or 'symlog' (logarithmic, with 0), of the horizontal axis.

    Returns:
        The figure.

    Raises:
        ValueError: If there is no point, or the scale is unknown.
    """
    if not rows:
        raise ValueError('draw_sweep needs at least one point.')
    if scale not in SCALES:
        raise ValueError(f'scale must be one of {SCALES}, got {scale!r}.')
    figure = Figure(figsize=(5.5 * len(scores), 4), layout='constrained')
    axes = figure.subplots(1, len(scores), squeeze=False)[0]
    lines: dict[Any, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row[x]):
        lines.setdefault(row[series] if series else None, []).append(row)
    for ax, (name, label) in zip(axes, scores.items(), strict=True):
        for line, points in sorted(lines.items(), key=lambda item: str(item[0])):
            ax.plot([point[x] for point in points], [point[name] for point in points],
                    marker='o', label=line)
        ax.set(xlabel=x.replace('_', ' '), ylabel=label)
        ax.grid(alpha=0.3)
        _set_scale(ax, scale, sorted({row[x] for row in rows}))
        if series:
            ax.legend(title=series)
    return figure


def _set_scale(ax: Axes, scale: str, values: list[float]) -> None:
    """Choose the scale; on a logarithmic one the points themselves are the ticks."""
    if scale == 'linear':
        return
    if scale == 'log2':
        ax.set_xscale('log', base=2)
    else:
        ax.set_xscale('symlog', linthresh=min((value for value in values if value > 0), default=1))
    ax.set_xticks(values)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
