"""Table and plot of a sweep over settings of the sampler."""
from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..atomic_write import write_whole
from ..visualization.sweep_plot import draw_sweep

# Of each sweep: the columns before the scores; the axis, what tells lines apart, the scale.
_COLUMNS = {
    'steps': ('schedule', 'num_steps'), 'top-p': ('top_p', ), 'temperature': ('kind', 'temperature')
}
_AXES = {
    'steps': ('num_steps', 'schedule', 'log2'), 'top-p': ('top_p', None, 'linear'),
    'temperature': ('temperature', 'kind', 'symlog')
}


def point_row(sweep: str, record: dict[str, Any]) -> dict[str, Any]:
    """One line of the table of a sweep: what it changes, then the scores.

    Args:
        sweep: 'steps', 'top-p' or 'temperature'.
        record: What ``Sweep.run_point`` returned.
    """
    sampler = record['generated']['sampler']
    values = dict(sampler, kind='dynamic' if sampler['dynamic'] else 'static')
    return {name: values[name] for name in _COLUMNS[sweep]} | record['scores']


def write_sweep_report(sweep: str, records: Sequence[dict[str, Any]], out: Path) -> Path:
    """Write ``<sweep>.png``, ``<sweep>.csv`` and, with both, ``<sweep>.md``.

    Args:
        sweep: 'steps', 'top-p' or 'temperature'.
        records: What ``Sweep.run_point`` returned for each point; at least one.
        out: The folder.

    Returns:
        The Markdown file.
    """
    rows = [point_row(sweep, record) for record in records]
    x, series, scale = _AXES[sweep]
    picture = io.BytesIO()
    draw_sweep(rows, x, score_names(records[0]), series, scale).savefig(picture, dpi=120)
    notes = ''.join(f'- {note}\n' for note in records[0]['notes'])
    text = f'![{sweep}]({sweep}.png)\n\n{markdown_table(rows)}\n{notes}'
    write_whole(out / f'{sweep}.png', picture.getvalue())
    write_whole(out / f'{sweep}.csv', csv_table(rows).encode())
    write_whole(out / f'{sweep}.md', text.encode())
    return out / f'{sweep}.md'


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same names as a table in Markdown."""
    names = list(rows[0])
    cells = [[format_cell(row[name]) for name in names] for row in rows]
    lines = [names, ['---'] * len(names), *cells]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def csv_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same names as comma-separated values."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def score_names(record: dict[str, Any]) -> dict[str, str]:
    """The scores to draw, and what they may be called with these networks."""
    names = dict(fid=('FID', 'fid'), inception_score=('Inception Score', 'is'),
                 precision=('precision', 'prc'), recall=('recall', 'prc'))
    shown = {}
    for score, (label, metric) in names.items():
        if score in record['scores']:
            network = record['networks'][metric]
            like = '' if network['standard'] else f'-like ({network["name"]})'
            shown[score] = label + like
    return shown


def format_cell(value: Any) -> str:
    """A value of a row as text, numbers with four digits."""
    return f'{value:.4g}' if isinstance(value, float) else str(value)
