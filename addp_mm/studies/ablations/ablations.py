"""Trains and measures the rows of ablation tables: pre-training, generation, fine-tuning."""
from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from ...apis import ADDPInferencer
from ...apis.output_folder import save_image
from ...atomic_write import write_json
from ...checkpoints.weight_files import sha256_of
from ...config_file import read_config_file
from ...evaluation.feature_extractor import MetricFeatures
from ...evaluation.generation_scores import ReferenceFeatures
from ...own_images.trainings import Stage, check_finished, get_setting, run_stage
from ...result_folder import ResultFolder, read_json
from ...visualization.curves import read_run
from ..sampler_sweep import Sweep
from .report import GENERATION, ROWS, SAMPLES, write_ablation_report
from .rows import AblationRow

ENCODER = 'model.backbone.init_cfg.checkpoint'      # where fine-tuning names its start
ACCURACY = 'accuracy/top1'
NUM_SAMPLES = 12                                    # images of a row in the picture
RECORD, SECONDS = 'record', 'seconds.json'


@dataclass(frozen=True)
class ParallelStage(Stage):
    """A training in several processes of this machine.

    Attributes:
        num_processes: How many; of each GPU one.
    """

    num_processes: int = 1

    @property
    def command(self) -> list[str]:
        """As of :class:`Stage`, under torchrun where there are several processes."""
        python, *words = super().command
        if self.num_processes == 1:
            return [python, *words]
        return [python, '-m', 'torch.distributed.run', '--standalone',
                f'--nproc_per_node={self.num_processes}', *words, '--launcher', 'pytorch']


@dataclass
class Generation:
    """How generated images are made and measured, the same for all rows.

    Attributes:
        extract: The networks of the metrics.
        reference: Features of the reference set; None for the Inception Score alone.
        about: What the reference set is, as ``describe_set`` gives it; None without one.
        num_images: How many images are measured.
        sampler: Options of the sampler.
        seed: Seed of the images.
        batch_size: Images at a time.
        device: Where the models run.
    """

    extract: MetricFeatures
    reference: ReferenceFeatures | None
    about: Mapping[str, Any] | None
    num_images: int
    sampler: Mapping[str, Any]
    seed: int = 0
    batch_size: int = 16
    device: str = 'cpu'

    def describe(self) -> dict[str, Any]:
        """What the scores depend on, beside the model."""
        return dict(num_images=self.num_images, seed=self.seed, sampler=dict(self.sampler),
                    networks=self.extract.describe(), reference=self.about)

    def measure(self, stage: Stage, out: Path) -> dict[str, Any]:
        """Generate with a trained model, keep some images as ``samples.png``, score all.

        Returns:
            The record of the scores, see ``quality_record``.
        """
        inferencer = ADDPInferencer(stage.cfg, stage.checkpoint, self.device)
        tokenizer = inferencer.model.data_preprocessor.tokenizer
        about = dict(checkpoint_sha256=sha256_of(stage.checkpoint),
                     tokenizer_sha256=tokenizer.sha256, reference=self.about)
        sweep = Sweep(out, inferencer, self.extract, self.reference, self.num_images, self.seed,
                      self.batch_size, about)
        record = sweep.run_point(dict(self.sampler))
        assert record is not None, 'the lock of the row keeps others out'
        images = inferencer.generate(NUM_SAMPLES, self.seed, batch_size=self.batch_size,
                                     **self.sampler)
        save_image(np.concatenate(list(images), axis=1), out / SAMPLES)
        return record


@dataclass
class Ablations:
    """Runs the steps of all rows, and keeps what is done.

    A row works in ``out/rows/<name>``. Several processes may be started with the same arguments,
    for example one for each GPU: each takes the rows that no other works on.

    Attributes:
        out: Folder of the results.
        rows: The rows, as ``find_rows`` gives them.
        generation: How generated images are measured.
        finetune: Config of a classifier's training that starts from ``model.backbone.init_cfg``;
            None: accuracy is not measured.
        seeds: Seeds of the fine-tunings; the accuracy is their mean.
        num_processes: Processes of each training.
        say: Takes the lines that tell how far it is.
        results: The rows that are done, as ``rows/<name>/record``.
    """

    out: Path
    rows: Sequence[AblationRow]
    generation: Generation
    finetune: Path | None
    seeds: Sequence[int]
    num_processes: int
    say: Callable[[str], None]
    results: ResultFolder = field(init=False)

    def __post_init__(self) -> None:
        """Check what can be checked before the first training, and make the folders.

        Raises:
            ValueError: If fine-tuning does not start from a checkpoint, or has no seed, or the
                folders hold results of other configs or settings.
        """
        if self.finetune_cfg is not None and get_setting(self.finetune_cfg, ENCODER) is None:
            raise ValueError(f'{self.finetune} does not start from an encoder: expected {ENCODER}, '
                             "from init_cfg=dict(type='Pretrained', checkpoint=...).")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ValueError('Fine-tuning needs at least one seed, and each only once, got '
                             f'{list(self.seeds)}.')
        self.results = ResultFolder(self.out, dict(
            generation=self.generation.describe(), seeds=list(self.seeds), gpus=self.num_processes,
            finetune=self.finetune_cfg and _settings_of(self.finetune_cfg)))
        for row in self.rows:
            ResultFolder(self._folder(row), _settings_of(row.stage(self._folder(row)).cfg))

    @cached_property
    def finetune_cfg(self) -> Config | None:
        """The config of fine-tuning."""
        if self.finetune is None:
            return None
        return read_config_file(self.finetune, import_custom_modules=False)

    def run(self) -> Path | None:
        """Run what is not done yet, and write the report after each row.

        Returns:
            The report, in Markdown; None where other processes work on some rows.

        Raises:
            StageError: If a training fails, or one of a finished row was made with other weights
                than the config names now.
        """
        for row in filter(self._is_done, self.rows):
            for stage in self._stages(row):
                check_finished(stage, self._folder(row))
        for number, row in enumerate(self.rows, 1):
            label = f'row {number}/{len(self.rows)} {row.name}'
            if self._is_done(row):
                self.say(f'[{label}] already finished')
            elif self._make(row, label) is None:
                self.say(f'[{label}] another process works on it')
            else:
                write_ablation_report(self._records(), self.out)
                self.say(f'[{label}] {self._summary(row)}')
        done = all(map(self._is_done, self.rows))
        return write_ablation_report(self._records(), self.out) if done else None

    def _make(self, row: AblationRow, label: str) -> dict[str, Any] | None:
        return self.results.make(f'{ROWS}/{row.name}/{RECORD}', lambda: self._run_row(row, label))

    def _run_row(self, row: AblationRow, label: str) -> dict[str, Any]:
        scores = self._run_steps(row, label)
        seconds = read_json(self._folder(row) / SECONDS)
        return dict(
            name=row.name, table=row.table, is_default=row.is_default,
            changes=dict(row.changes), defaults=dict(row.defaults), config=str(row.config),
            generation=scores, accuracy=self._accuracies(row), seconds=seconds)

    def _run_steps(self, row: AblationRow, label: str) -> dict[str, Any]:
        """Run what is not done of a row; the record of its scores."""
        stages = self._stages(row)
        with self._timed(row, 'pre-train'):
            run_stage(stages[0], self.say, f'[{label}, pre-train]')
        with self._timed(row, 'generate'):
            self.say(f'[{label}, generate] {self.generation.num_images} images')
            scores = self.generation.measure(stages[0], self._folder(row) / GENERATION)
        for number, stage in enumerate(stages[1:], 1):
            with self._timed(row, 'fine-tune'):
                run_stage(stage, self.say, f'[{label}, fine-tune {number}/{len(stages) - 1}]')
        return scores

    def _stages(self, row: AblationRow) -> list[Stage]:
        """The pre-training, then a fine-tuning for each seed."""
        folder = self._folder(row)
        first = row.stage(folder / 'pretrain')
        trainings = [(first.name, first.config, first.work_dir, first.options)]
        if self.finetune is not None:
            for seed in self.seeds:
                options = {ENCODER: str(first.checkpoint), 'randomness.seed': seed}
                trainings.append((row.name, self.finetune, self._finetune_dir(row, seed), options))
        return [ParallelStage(*training, num_processes=self.num_processes)
                for training in trainings]

    def _accuracies(self, row: AblationRow) -> list[float] | None:
        """Top-1 accuracy in percent of each seed, from the last validation."""
        if self.finetune is None:
            return None
        runs = [read_run(self._finetune_dir(row, seed)) for seed in self.seeds]
        found = [run.held_out[ACCURACY][-1][1] for run in runs if ACCURACY in run.held_out]
        if len(found) < len(runs):
            raise ValueError(f'{self.finetune} has logged no {ACCURACY}: expected '
                             "val_evaluator=dict(type='Accuracy') and val_cfg.")
        return found

    @contextlib.contextmanager
    def _timed(self, row: AblationRow, step: str) -> Iterator[None]:
        """Add the time of a ``with`` to what the step took in earlier runs of the command."""
        started, path = time.monotonic(), self._folder(row) / SECONDS
        try:
            yield
        finally:
            seconds = read_json(path) if path.is_file() else {}
            seconds[step] = seconds.get(step, 0.) + time.monotonic() - started
            write_json(path, seconds)

    def _summary(self, row: AblationRow) -> str:
        """What a row took, and what the others may take."""
        totals = {record['name']: sum(record['seconds'].values()) for record in self._records()}
        left = sum(not self._is_done(other) for other in self.rows)
        eta = left * sum(totals.values()) / len(totals)
        return (f'done in {totals[row.name] / 60:.1f} min; {left} rows left, about '
                f'{eta / 60:.0f} min for one process')

    def _records(self) -> list[dict[str, Any]]:
        """What is known of each finished row in the folder, also of those of earlier commands."""
        return self.results.records(f'{ROWS}/*/{RECORD}')

    def _is_done(self, row: AblationRow) -> bool:
        return self.results.file(f'{ROWS}/{row.name}/{RECORD}').is_file()

    def _folder(self, row: AblationRow) -> Path:
        return self.out / ROWS / row.name

    def _finetune_dir(self, row: AblationRow, seed: int) -> Path:
        return self._folder(row) / f'finetune_seed{seed}'


def _settings_of(cfg: Config) -> dict[str, Any]:
    """What a training depends on: its folder is none of it."""
    return {key: value for key, value in cfg.to_dict().items() if key != 'work_dir'}
