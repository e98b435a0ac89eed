"""Training curves of one run or several."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

SCALARS = 'vis_data/scalars.json'
NO_CURVES = {'step', 'iter', 'epoch', 'time', 'data_time', 'memory'}


@dataclass
class RunScalars:
    """Curves of one run.

    Attributes:
        name: Name of the run.
        train: For each key (``loss``, ``lr``...) its (iteration, value) points.
        held_out: The same for the metrics of validation, at the last iteration logged before it.
        iters_per_epoch: Number of iterations in an epoch, about; None if no epochs were logged.
    """

    name: str
    train: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    held_out: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    iters_per_epoch: float | None = None


def read_run(path: str | Path) -> RunScalars:
    """Read the scalars of a run.

    A run that was resumed has a file for each start: one that starts at a later iteration holds
    from there on; of two that start at the same one, that with the later name. The names alone
    would not do: they are of the local clock, which can go back. Lines that are not whole, as
    after a kill, are skipped.

    Args:
        path: The work folder, the folder of one start in it, or a scalars.json.

    Returns:
        The curves; those that were not logged are missing.

    Raises:
        FileNotFoundError: If there is no scalars.json.
        ValueError: If none holds a number.
    """
    path = Path(path)
    records: list[tuple[int, dict]] = []
    files = [list(_records(file)) for file in _scalar_files(path)]
    ends: dict[int, int] = {}                   # last iteration of each epoch
    for record in (record for file in files for record in file if record.get('epoch')):
        ends[record['epoch']] = max(record.get('iter', 0), ends.get(record['epoch'], 0))
    starts = [_numbered(file, ends) for file in files if file]
    for new in sorted(starts, key=_first_iteration):
        first = _first_iteration(new)
        records = [(iteration, record) for iteration, record in records if iteration < first
                   and ('iter' in record or iteration < new[0][0])] + new
    run = RunScalars(_run_name(path))
    for iteration, record in records:
        curves = run.train if 'iter' in record else run.held_out
        for key in record.keys() - NO_CURVES:
            curves.setdefault(key, []).append((iteration, record[key]))
    if not run.train and not run.held_out:
        raise ValueError(f'{path} has logged no numbers yet: the run must reach its first '
                         '`interval` of the LoggerHook.')
    lengths = [record['iter'] / record['epoch'] for _, record in records if record.get('epoch')]
    run.iters_per_epoch = max(lengths, default=None)
    return run


def _scalar_files(path: Path) -> list[Path]:
    """The scalar files of a run, by their names."""
    if path.is_file():
        return [path]
    files = [path / 'scalars.json', path / SCALARS, *sorted(path.glob(f'*/{SCALARS}'))]
    files = [file for file in files if file.is_file()]
    if not files:
        raise FileNotFoundError(f'{path} holds no {SCALARS}. Give the work folder of a training '
                                'whose visualizer has a LocalVisBackend.')
    return files


def _records(file: Path) -> Iterator[dict]:
    """The records of a file that hold a number."""
    for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            record = {k: v for k, v in record.items() if isinstance(v, (int, float))}
            if record.keys() - NO_CURVES and ('iter' in record or 'step' in record):
                yield record


def _numbered(records: Sequence[dict], ends: dict[int, int]) -> list[tuple[int, dict]]:
    """Each record of a file with the iteration it belongs to.

    A validation knows its epoch only, if the run counts epochs: it belongs to the iteration before
    it, and at the start of a file, where a resumed run makes up for one, to the end of that epoch.
    """
    numbered, iteration = [], None
    for record in records:
        if 'iter' in record:
            iteration = record['iter']
        elif iteration is None:
            iteration = ends.get(record['step'], record['step'])
        numbered.append((iteration, record))
    return numbered


def _first_iteration(numbered: Sequence[tuple[int, dict]]) -> float:
    """The first iteration of a file; behind its validations, if it has nothing else."""
    trained = [iteration for iteration, record in numbered if 'iter' in record]
    return trained[0] if trained else numbered[-1][0] + 0.5


def _run_name(path: Path) -> str:
    path = path.resolve()
    names = [part for part in path.parts if part not in ('vis_data', 'scalars.json')]
    return names[-1]


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
    panels: Panels = {}
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
    if len(ax.lines) > MAX_INSIDE:
        ax.legend(fontsize='small', loc='center left', bbox_to_anchor=(1, 0.5))
    else:
        ax.legend(fontsize='small')


def _add_epochs(ax: Axes, runs: Sequence[RunScalars]) -> None:
    """A second scale on top, in epochs, if all runs have the same."""
    lengths = {run.iters_per_epoch and round(run.iters_per_epoch) for run in runs}
    length = lengths.pop() if len(lengths) == 1 else None
    if length:
        top = ax.secondary_xaxis('top', functions=(
            lambda x: np.divide(x, length), lambda x: np.multiply(x, length)))
        top.set_xlabel('epoch')
