"""Training curves of one run or several."""
from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .scalars import RunScalars

Panels = dict[tuple[str, str], list[str]]
"""The keys of each panel, under 'train' or 'held_out' and the panel's title."""

TRAIN_TITLES = {'lr': 'learning rate', 'grad_norm': 'norm of the gradient'}
UNITS = {'entropy': 'nats per token', 'psnr': 'dB'}
STYLES = ('-', '--', ':', '-.')
FEW_POINTS = 30
MAX_INSIDE = 4
COLUMNS = 2


def draw_curves(runs: Sequence[RunScalars]) -> Figure:
    """Draw losses, learning rate, norm of the gradient and held-out metrics.

    A panel for each, over iterations; epochs stand on top where the runs agree on their length.
    Metrics of one kind share a panel. Of a metric at several mask ratios, several runs show only
    the mean.

    Args:
        runs: What ``read_run`` returns, of one run or several.

    Returns:
        The figure.

    Raises:
        ValueError: If no run has logged a number.
    """
    panels = _train_panels(runs) | _held_out_panels(runs)
    if not panels:
        raise ValueError('draw_curves needs at least one run with a logged number.')
    rows = -(-len(panels) // COLUMNS)
    figure = Figure(figsize=(6.5 * COLUMNS, 3.8 * rows), layout='constrained')
    axes = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for ax, ((part, title), keys) in zip(axes, panels.items(), strict=False):
        for run, style in zip(runs, cycle(STYLES), strict=False):
            name = f'{run.name}: ' if len(runs) > 1 else ''
            _draw_lines(ax, keys, getattr(run, part), name, style)
        _finish(ax, title)
        _add_epochs(ax, runs)
    for ax in axes[len(panels):]:
        ax.remove()
    return figure


def _train_panels(runs: Sequence[RunScalars]) -> Panels:
    keys = sorted({key for run in runs for key in run.train})
    losses = [key for key in keys if 'loss' in key]
    if len(losses) == 2 and 'loss' in losses:
        losses.remove('loss')  # the sum of a single loss
    titles = {'training loss': losses, **{title: [] for title in TRAIN_TITLES.values()}}
    for key in keys:
        name = key.split('.')[-1]  # several optimizers log `<optimizer>.lr`
        if 'loss' not in key and name != 'base_lr':
            titles.setdefault(TRAIN_TITLES.get(name, f'training: {key}'), []).append(key)
    return {('train', title): keys for title, keys in titles.items() if keys}


def _held_out_panels(runs: Sequence[RunScalars]) -> Panels:
    keys = {key for run in runs for key in run.held_out}
    panels = {}
    for key in sorted(keys):
        mean = _without_number(key)
        if len(runs) == 1 or mean == key or mean not in keys:
            panels.setdefault(('held_out', f'held out: {_kind(key)}'), []).append(key)
    return panels


def _without_number(key: str) -> str:
    """``token/cross_entropy_0.55`` -> ``token/cross_entropy``."""
    return re.sub(r'_[\d.]+$', '', key)


def _kind(key: str) -> str:
    """What is measured: ``token/cross_entropy_0.55`` -> ``token entropy``."""
    prefix, _, name = _without_number(key).rpartition('/')
    return f'{prefix} {name.split("_")[-1]}'.strip()


def _draw_lines(ax: Axes, keys: list[str], curves: dict[str, list[tuple[int, float]]],
                name: str, style: str) -> None:
    """Draw a line for each key that a run has logged."""
    for key in (key for key in keys if key in curves):
        iterations, values = zip(*curves[key], strict=True)
        ax.plot(iterations, values, style, marker='.' if len(values) <= FEW_POINTS else None,
                label=name + key.rpartition('/')[2].replace('_', ' '))


def _finish(ax: Axes, title: str) -> None:
    unit = next((unit for word, unit in UNITS.items() if word in title), None)
    ax.set(title=title, xlabel='iteration', ylabel=unit)
    ax.grid(alpha=0.3)
    beside = dict(loc='center left', bbox_to_anchor=(1, 0.5)) if len(ax.lines) > MAX_INSIDE else {}
    ax.legend(fontsize='small', **beside)


def _add_epochs(ax: Axes, runs: Sequence[RunScalars]) -> None:
    """A second scale on top, in epochs, if all runs have the same."""
    lengths = {run.iters_per_epoch and round(run.iters_per_epoch) for run in runs}
    length = lengths.pop() if len(lengths) == 1 else None
    if length:
        top = ax.secondary_xaxis('top', functions=(lambda x: x / length, lambda x: x * length))
        top.set_xlabel('epoch')
