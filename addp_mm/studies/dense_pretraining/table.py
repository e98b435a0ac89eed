"""Tables of the study's records; a cell that was not run yet is a dash."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...atomic_write import write_whole
from ...result_folder import read_json
from ..tables import markdown_table, mean_and_spread
from .rows import Row
from .study import TASKS

MISSING = '-'


def write_tables(records: Path, rows: Mapping[str, Row], labelled: Sequence[int],
                 seeds: Sequence[int]) -> str:
    """Write ``table.md`` beside the records: a line for each row and number of labelled pictures.

    Args:
        records: Folder of the records.
        rows: The rows by their short names; those without a record are left out.
        labelled: Numbers of labelled pictures.
        seeds: The runs that are averaged, as far as they were made.

    Returns:
        The table in Markdown.
    """
    lines = [line for number in labelled for name, row in rows.items()
             if (line := _line(records, name, row, number, seeds))]
    text = markdown_table(lines) if lines else 'No cell has a record yet.\n'
    write_whole(records / 'table.md', text.encode())
    return text


def _line(records: Path, name: str, row: Row, labelled: int,
          seeds: Sequence[int]) -> dict[str, str] | None:
    linear = _read(records / f'linear/{name}_{labelled}.json')
    line = {'labelled': str(labelled), 'encoder': row.title, 'linear mIoU': MISSING,
            'within tiles': MISSING}
    if linear:
        line['linear mIoU'] = _summary(linear['miou'])
        line['within tiles'] = f'{linear["variation"]["within"]:.0%}'
    for kind, task in TASKS.items():
        for score, values in recorded_scores(records, kind, name, labelled, seeds).items():
            line[score + task.note] = _summary(values)
    return line if set(list(line.values())[2:]) != {MISSING} else None


def recorded_scores(records: Path, kind: str, name: str, labelled: int,
                    seeds: Sequence[int]) -> dict[str, list[float]]:
    """The scores of a row by their names, a value for each seed that has a record.

    Args:
        records: Folder of the records.
        kind: A key of ``TASKS``.
        name: Short name of the row.
        labelled: Number of labelled pictures.
        seeds: The runs.
    """
    runs = [_read(records / f'{kind}/{name}_{labelled}_{seed}.json') for seed in seeds]
    return {score: [run['scores'][score] for run in runs if run] for score in TASKS[kind].scores}


def _summary(values: Sequence[float]) -> str:
    return mean_and_spread(values) if values else MISSING


def _read(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.is_file() else None
