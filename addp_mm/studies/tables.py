"""Tables of results, and how a number stands in them."""
from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any


def markdown_table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same names as a table in Markdown."""
    names = list(rows[0])
    cells = [[format_cell(row[name]) for name in names] for row in rows]
    lines = [names, ['---'] * len(names), *cells]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def mean_and_spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation with one digit, as '42.0 ± 2.8'; one value by itself."""
    spread = f' ± {stdev(values):.1f}' if len(values) > 1 else ''
    return f'{mean(values):.1f}{spread}'


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
