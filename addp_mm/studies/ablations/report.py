"""Tables and a picture of ablations."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from ...apis.output_folder import save_image
from ...atomic_write import write_json, write_whole
from ...generation import from_pixels
from ...visualization.image_grid import image_grid
from ..tables import markdown_table, mean_and_spread, score_names

NAME = 'ablations'
# Below the folder of results: a folder for each row; in it one of what it generates; there images.
ROWS, GENERATION, SAMPLES = 'rows', 'generation', 'samples.png'
Record = Mapping[str, Any]


def write_ablation_report(records: Sequence[Record], out: Path) -> Path:
    """Write ``ablations.md``, ``ablations.json`` and, of the rows' samples, ``ablations.png``.

    Args:
        records: What is known of each finished row; at least one.
        out: The folder, with the samples of each row in ``rows/<name>/generation/samples.png``.

    Returns:
        The Markdown file.
    """
    records = sorted(records, key=lambda record: (not record['is_default'], record['name']))
    tables = ablation_tables(records)
    parts = [f'## {name}\n\n{markdown_table(rows)}' for name, rows in tables.items()]
    notes = [f'- {note}\n' for note in _notes(records)]
    pictures = f'![samples of each row]({NAME}.png)\n'
    save_image(_draw_samples(records, out), out / f'{NAME}.png')
    write_json(out / f'{NAME}.json', dict(tables=tables, rows=list(records)))
    write_whole(out / f'{NAME}.md', '\n'.join([*parts, ''.join(notes), pictures]).encode())
    return out / f'{NAME}.md'


def ablation_tables(records: Sequence[Record]) -> dict[str, list[dict[str, Any]]]:
    """Rows by table: what is changed, scores, accuracy, minutes. The default is in each table.

    A row belongs to the table that its name begins with, up to the first underscore.
    """
    shared = [record for record in records if record['is_default']]
    grouped: dict[str, list[Record]] = {}
    for record in records:
        if not record['is_default']:
            grouped.setdefault(record['table'], []).append(record)
    tables = {}
    for name, rows in (grouped or {'default': []}).items():
        known = {key: value for row in rows for key, value in row['defaults'].items()}
        tables[name] = [_row(record, known) for record in [*shared, *rows]]
    return tables


def _row(record: Record, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """One line; ``defaults`` are the keys that its table changes."""
    values = {**defaults, **record['changes']}
    settings = {'.'.join(key.split('.')[-2:]): '-' if values[key] is None else values[key]
                for key in defaults}
    scores = {label: record['generation']['scores'][name]
              for name, label in score_names(record['generation']).items()}
    minutes = {f'{step}, min': round(seconds / 60, 2)
               for step, seconds in record['seconds'].items()}
    return {'row': record['name'], **settings, **scores, **_accuracy(record), **minutes}


def _accuracy(record: Record) -> dict[str, str]:
    """Mean and spread over the seeds."""
    values = record['accuracy']
    return {} if values is None else {'accuracy, %': mean_and_spread(values)}


def _notes(records: Sequence[Record]) -> list[str]:
    """What the scores are made of; each note once."""
    notes = [note for record in records for note in record['generation']['notes']]
    seeds = max(len(record['accuracy'] or ()) for record in records)
    if seeds > 1:
        notes.append(f'Accuracy: mean of {seeds} fine-tunings with different seeds ± the standard '
                     'deviation.')
    return list(dict.fromkeys([*notes, 'Times include what interrupted runs took.']))


def _draw_samples(records: Sequence[Record], out: Path) -> np.ndarray:
    """A line of images for each row, the same random numbers in each."""
    strips = {record['name']: _read_strip(out / ROWS / record['name'] / GENERATION,
                                          record['generation']['generated']['image_size'][1])
              for record in records}
    return image_grid(list(strips.values()), list(strips))


def _read_strip(folder: Path, width: int) -> Tensor:
    """The images beside each other in a picture, as (N, 3, H, W) in [0, 1]."""
    pixels = np.array(Image.open(folder / SAMPLES))
    return from_pixels(np.stack(np.split(pixels, pixels.shape[1] // width, axis=1)))
