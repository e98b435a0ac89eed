"""The study's scores over the number of labelled pictures."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .rows import Row
from .table import recorded_scores


def draw_labels(records: Path, rows: Mapping[str, Row], labelled: Sequence[int],
                seeds: Sequence[int]) -> Figure:
    """Draw mask AP, a line for each row measured with two numbers of labelled pictures or more.

    Args:
        records: Folder of the records.
        rows: The rows by their short names.
        labelled: Numbers of labelled pictures.
        seeds: The runs that are averaged, as far as they were made; each is a point.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(7, 5.5), layout='constrained')
    axes = figure.subplots()
    for name, row in rows.items():
        found = {number: values for number in labelled if (
            values := recorded_scores(records, 'detector', name, number, seeds)['mask AP'])}
        if len(found) < 2:
            continue
        means = [float(np.mean(values)) for values in found.values()]
        line, = axes.plot(list(found), means, label=row.title)
        places = [number for number, values in found.items() for _ in values]
        axes.plot(places, [value for values in found.values() for value in values], 'o',
                  color=line.get_color(), markersize=4, alpha=0.6)
    axes.set(xscale='log', xlabel='labelled pictures', ylabel='mask AP (%)')
    axes.set_xticks(list(labelled), [str(number) for number in labelled])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, loc='outside upper left')
    return figure
