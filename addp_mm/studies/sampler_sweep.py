"""Scores of generated images over settings of the sampler (paper Fig. 6, Tab. 10 and 11)."""
from __future__ import annotations

import io
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..apis import ADDPInferencer
from ..atomic_write import write_whole
from ..checkpoints.weight_files import load_weights, save_weights
from ..cli.progress import progress_bar
from ..evaluation.feature_extractor import MetricFeatures
from ..evaluation.generation_scores import ReferenceFeatures, score
from ..evaluation.quality_record import quality_record
from ..generation import as_saved
from ..result_folder import ResultFolder, try_lock
from ..visualization.sweep_plot import draw_sweep
from .tables import csv_table, markdown_table, score_names

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


PART = 1000                     # images whose features are kept together
STEPS = (4, 8, 12, 16, 20, 32, 64, 128, 256)                # our choice: Fig. 6 names no values
TOP_P = (1.0, 0.95, 0.9, 0.7, 0.5, 0.3, 0.1)                # paper Tab. 10
TEMPERATURES = (0.0, 2.0, 6.0, 20.0, 60.0)                  # paper Tab. 11
SWEEPS = ('steps', 'top-p', 'temperature')


def sweep_samplers(sweep: str, num_tokens: int, base: dict[str, Any],
                   values: Sequence[float] | None = None) -> list[dict[str, Any]]:
    """The options of the sampler at each point of a sweep.

    Args:
        sweep: 'steps': numbers of steps under both schedules (Fig. 6). 'top-p' (Tab. 10) and
            'temperature', static and dynamic (Tab. 11): with the linear schedule and one step for
            each token, as the scores of the paper's defaults suggest.
        num_tokens: Tokens of an image; larger default numbers of steps are left out.
        base: Options of the sampler that stay the same, also in place of those defaults.
        values: Other numbers than the default ones.

    Raises:
        ValueError: If ``base`` fixes what the sweep changes, or a number of steps is no integer.
    """
    varied = dict(steps=('num_steps', 'schedule'), temperature=('temperature', 'dynamic'))
    fixed = [name for name in varied.get(sweep, ('top_p', )) if name in base]
    if fixed:
        raise ValueError(f'The sweep {sweep!r} changes {fixed}: leave the flags for it out, '
                         'or name the wanted numbers with --values.')
    base = base if sweep == 'steps' else dict(num_steps=num_tokens, schedule='linear') | base
    if sweep == 'steps':
        values = values or sorted({steps for steps in STEPS if steps < num_tokens} | {num_tokens})
        if any(not math.isfinite(steps) or steps != int(steps) for steps in values):
            raise ValueError(f'Numbers of steps must be integers, got {list(values)}.')
        return [dict(base, schedule=schedule, num_steps=int(steps))
                for schedule in ('cosine', 'linear') for steps in values]
    if sweep == 'top-p':
        return [dict(base, top_p=top_p) for top_p in values or TOP_P]
    # A dynamic temperature of 0 is the static one.
    return [dict(base, dynamic=dynamic, temperature=temperature)
            for dynamic in (False, True) for temperature in values or TEMPERATURES
            if temperature or not dynamic]


@dataclass
class Sweep:
    """Measures points one after the other, and keeps what is done.

    Features are kept in parts of 1000 images until a point is scored, so that little is lost when
    it is stopped. Several processes may work in one folder: each takes what no other works on.

    Attributes:
        out: Folder of the results.
        inferencer: The model.
        extract: The networks of the metrics.
        reference: Features of the reference set; None for the Inception Score alone.
        num_images: Images of each point.
        seed: Seed of the images.
        batch_size: Images at a time.
        about: What else goes into the records: ``reference`` as ``describe_set`` gives it, and
            the hashes of the model's files.
        results: What is measured, by ``points/<options>``.

    Raises:
        ValueError: If the folder holds results of another model, other images or networks.
    """

    out: Path
    inferencer: ADDPInferencer
    extract: MetricFeatures
    reference: ReferenceFeatures | None
    num_images: int
    seed: int = 0
    batch_size: int = 16
    about: dict[str, Any] = field(default_factory=dict)
    results: ResultFolder = field(init=False)

    def __post_init__(self) -> None:
        """Make the folder, or see that it holds results of the same model and settings."""
        self.results = ResultFolder(self.out, dict(
            self.about, seed=self.seed, num_images=self.num_images,
            networks=self.extract.describe()))

    def run_point(self, sampler: dict[str, Any]) -> dict[str, Any] | None:
        """Measure one point, unless that is done.

        Args:
            sampler: Options of the sampler.

        Returns:
            Its record; None where another process works on a part of it.
        """
        generator = self.inferencer.generator(**sampler)
        options = generator.sampler.options(generator.num_tokens)
        name = '_'.join(f'{key}-{value}' for key, value in options.items())
        result, parts = self.results.file(f'points/{name}'), self.out / 'points' / name
        if not result.is_file():
            self._make_parts(parts, result, sampler)
        num_parts = len(list(parts.glob('*.safetensors')))
        if num_parts * PART < self.num_images and not result.is_file():
            return None
        record = self.results.make(f'points/{name}', lambda: self._score(parts, options))
        if record is not None:
            shutil.rmtree(parts, ignore_errors=True)
        return record

    def _make_parts(self, folder: Path, result: Path, sampler: dict[str, Any]) -> None:
        with progress_bar(folder.name) as bar:
            for start in range(0, self.num_images, PART):
                path = folder / f'{start:06d}.safetensors'
                with try_lock(folder / f'{start:06d}.lock') as is_ours:
                    # Another process may have scored the point, and removed its parts, by now.
                    if is_ours and not path.exists() and not result.is_file():
                        indices = range(start, min(start + PART, self.num_images))
                        save_weights(self._features(indices, sampler, bar), path)
                bar(min(start + PART, self.num_images), self.num_images)

    def _features(self, indices: range, sampler: dict[str, Any],
                  bar: Callable[[int, int], None]) -> dict[str, Tensor]:
        parts = []
        for batch, result in self.inferencer.generate_batches(
                indices, self.seed, self.batch_size, **sampler):
            parts.append(self.extract(as_saved(result.images)))
            bar(batch[-1] + 1, self.num_images)
        return {metric: torch.cat([part[metric] for part in parts])
                for metric in self.extract.metrics}

    def _score(self, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
        """The record of a point whose parts are all there."""
        parts = [load_weights(file) for file in sorted(folder.glob('*.safetensors'))]
        features = {metric: torch.cat([part[metric] for part in parts])
                    for metric in self.extract.metrics}
        generated = dict(
            {k: v for k, v in self.about.items() if k != 'reference'}, sampler=options,
            num_images=self.num_images, image_size=list(self.inferencer.image_size),
            seed=self.seed)
        return quality_record(score(features, self.reference), self.extract, generated,
                              self.about.get('reference'))
