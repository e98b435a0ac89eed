"""The numbers that a run logged: ``vis_data/scalars.json`` of mmengine."""
from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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

    A run that was resumed has a file for each start: the later one holds from its first iteration
    on. Lines that are not whole, as after a kill, are skipped.

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
    for file in _scalar_files(path):
        new = list(_records(file))
        if new:
            records = [record for record in records if record[0] < new[0][0]] + new
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
    """The scalar files of a run, the oldest start first."""
    if path.is_file():
        return [path]
    files = [path / 'scalars.json', path / SCALARS, *sorted(path.glob(f'*/{SCALARS}'))]
    files = [file for file in files if file.is_file()]
    if not files:
        raise FileNotFoundError(f'{path} holds no {SCALARS}. Give the work folder of a training '
                                'whose visualizer has a LocalVisBackend.')
    return files


def _records(file: Path) -> Iterator[tuple[int, dict]]:
    """The records of a file that hold a number, each with the iteration it belongs to."""
    iteration = None
    for line in file.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict):
            record = {k: v for k, v in record.items() if isinstance(v, (int, float))}
            iteration = record.get('iter', record.get('step') if iteration is None else iteration)
            if iteration is not None and record.keys() - NO_CURVES:
                yield iteration, record


def _run_name(path: Path) -> str:
    path = path.resolve()
    names = [part for part in path.parts if part not in ('vis_data', 'scalars.json')]
    return names[-1]
