"""Runs the study cell by cell; what has a record is not run again."""
from __future__ import annotations

import hashlib
import json
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...atomic_write import write_json
from ...own_images.configs import write_config
from ...own_images.trainings import Stage, run_stage
from ...result_folder import ResultFolder, other_settings
from ...whole_numbers import check_positive
from ..dense_transfer import read_scores
from ..frozen_tokens import PARTS, FrozenEncoder, Picture, find_pictures
from ..linear_patches import LinearFit, LinearPatches, draw_pictures
from .rows import Row

# Where the configs of the study have their data and their runs.
_DATA, _RUNS = 'data/nuclei', 'work_dirs/dense_study'
# The trainings that another one needs.
_BEFORE = {'mage': ('vqgan', ), 'addp': ('vqgan', 'mage'), 'own': ('vqgan', 'mage')}
# What of a config changes results; hooks and the like do not.
_SETTINGS = ('model', 'train_dataloader', 'val_dataloader', 'val_evaluator', 'train_cfg',
             'optim_wrapper', 'param_scheduler', 'randomness')
_TUNING_SEED = 100  # no seed that is reported
CROSS_ENTROPY = 'token/cross_entropy'
RATES = (5e-4, 1e-3, 2e-3)


@dataclass(frozen=True)
class Task:
    """A training that the encoders are compared in.

    Attributes:
        config: Its config in the study's folder.
        scores: What is reported of it; the last one chooses a learning rate.
        note: What the tables say behind the names of the scores.
    """

    config: str
    scores: tuple[str, ...]
    note: str = ''


TASKS = {
    'detector': Task('mask-rcnn', ('box AP', 'mask AP')),
    'detector-600': Task('mask-rcnn-600', ('box AP', 'mask AP'), ', 600 iterations'),
    'segmentor': Task('upernet', ('mIoU', )),
}


@dataclass(frozen=True)
class DenseStudy:
    """The cells of the study; several processes may share them.

    Attributes:
        configs: Folder of the study's configs.
        data: Pictures in ``images``, and in ``annotations`` what ``write_annotations`` writes.
        work_dir: Logs and weights.
        records: A small JSON file for each cell, which may stand elsewhere than the weights.
        rows: The pre-trainings by their short names.
        say: Takes the lines that tell how far it is.
        fit: How the linear layer is trained.
        times: How many times as often the pre-trainings read each picture in an epoch as their
            configs say, at least 1: epochs of few pictures are short.

    Raises:
        ValueError: If ``times`` is no such number.
    """

    configs: Path
    data: Path
    work_dir: Path
    records: Path
    rows: Mapping[str, Row]
    say: Callable[[str], None] = lambda line: None
    fit: LinearFit = LinearFit()
    times: int = 1

    def __post_init__(self) -> None:
        check_positive(times=self.times)

    def linear(self, name: str, labelled: int, seeds: Sequence[int]) -> dict[str, Any] | None:
        """The linear layer on frozen tokens; None if another process measures it.

        Raises:
            ValueError: If the record was made with other settings, other configs or of other
                pictures; see also ``LinearPatches``.
        """
        return self._cell(f'linear/{name}_{labelled}', dict(seeds=list(seeds)),
                          [self._recipe(name, 'addp'), asdict(self.fit)],
                          lambda: self._measure_linear(name, labelled, seeds))

    def train(self, kind: str, name: str, labelled: int, seed: int,
              rate: float | None = None) -> dict[str, Any] | None:
        """Train a detector or a segmentor from a pre-training, on some labelled pictures.

        Args:
            kind: A key of :data:`TASKS`.
            name: A key of ``rows``.
            labelled: Number of labelled pictures.
            seed: Chooses the pictures and seeds the training.
            rate: Peak learning rate; None: the one that :meth:`choose_rate` finds.

        Returns:
            Scores on the validation pictures in percent; None if another process works on it.

        Raises:
            ValueError: If the record was made with another rate, other configs or of other
                pictures.
        """
        if rate is None:
            rate = self.choose_rate(kind, name)
        if rate is None:
            return None
        return self._cell(f'{kind}/{name}_{labelled}_{seed}', dict(rate=rate),
                          self._recipe(name, TASKS[kind].config),
                          lambda: self._run_task(kind, name, labelled, seed, rate))

    def choose_rate(self, kind: str, name: str, labelled: int = 32) -> float | None:
        """The best of :data:`RATES` for a row, by training pictures alone.

        So many of them are learned from, as many others scored.
        """
        task, tried = TASKS[kind], {}
        for rate in RATES:
            record = self._cell(
                f'{kind}/rates/{name}_{rate:g}', dict(rate=rate), self._recipe(name, task.config),
                partial(self._run_task, kind, name, labelled, _TUNING_SEED, rate, True))
            if record is None:
                return None
            tried[rate] = record['scores'][task.scores[-1]]
        return max(tried, key=lambda rate: tried[rate])

    def pretrain(self, name: str) -> Path | None:
        """The checkpoint of a row, trained now if it is not there; None for random start values."""
        row = self.rows[name]
        if row.pretrained_as is not None:
            return self.pretrain(row.pretrained_as)
        if row.config is None:
            return None
        for part in _BEFORE.get(row.config, ()):
            run_stage(self._stage(part, self._pretraining(part)), self.say, f'[{part}]')
        cfg = self._pretraining(row.config, {**row.options, **self._start(row)})
        stage = self._stage(name, cfg)
        started, trains = _seconds_of_children(), not stage.is_finished
        run_stage(stage, self.say, f'[{name}]')
        if trains:
            write_json(ResultFolder(self.records).file(f'pretraining/{name}'), dict(
                cpu_seconds=round(_seconds_of_children() - started),
                epochs=stage.cfg.train_cfg.max_epochs, scores=_held_out(stage.work_dir)))
        return stage.checkpoint

    def _start(self, row: Row) -> dict[str, Any]:
        """The options that give an encoder the weights of an earlier pre-training."""
        if row.starts_from is None:
            return {}
        checkpoint = str(self.pretrain(row.starts_from))
        return {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint=checkpoint)}

    def _measure_linear(self, name: str, labelled: int, seeds: Sequence[int]) -> dict[str, Any]:
        checkpoint, row = self.pretrain(name), self.rows[name]
        cfg = self._config('addp', self._encoder(row, row.frozen))
        encoder = FrozenEncoder.from_config(cfg, None if checkpoint is None else str(checkpoint))
        training, validation = (find_pictures(self.data, part) for part in PARTS)
        return LinearPatches(encoder, self.fit).measure(training, validation, labelled, seeds)

    def _run_task(self, kind: str, name: str, labelled: int, seed: int, rate: float,
                  tuning: bool = False) -> dict[str, Any]:
        cfg = self.task_config(kind, name, labelled, seed, rate, self.pretrain(name), tuning)
        stage = self._stage(f'{kind}_{name}_{labelled}_{seed}' + f'_{rate:g}' * tuning, cfg)
        started = _seconds_of_children()
        run_stage(stage, self.say, f'[{stage.name}]')
        found = read_scores(stage.work_dir)
        scores = {score: round(found[score], 2) for score in TASKS[kind].scores}
        return dict(scores=scores, cpu_seconds=round(_seconds_of_children() - started))

    def task_config(self, kind: str, name: str, labelled: int, seed: int, rate: float,
                    checkpoint: Path | None, tuning: bool = False) -> Config:
        """The config of a detector or a segmentor, see :meth:`train`.

        Args:
            kind: A key of :data:`TASKS`.
            name: A key of ``rows``.
            labelled: Number of labelled pictures.
            seed: Chooses the pictures and seeds the training.
            rate: Peak learning rate.
            checkpoint: Of the pre-training; None: random start values.
            tuning: Score training pictures that are not learned from.
        """
        cfg = self._config(TASKS[kind].config, {
            'randomness.seed': seed, 'optim_wrapper.optimizer.lr': rate,
            'train_dataloader.dataset.indices': self._indices(labelled, seed),
            **self._encoder(self.rows[name], self.rows[name].tuned)})
        if checkpoint is None:
            cfg.model.backbone.init_cfg = None
            cfg.optim_wrapper.paramwise_cfg.layer_decay_rate = 1.
        else:
            cfg.model.backbone.init_cfg.checkpoint = str(checkpoint)
        if tuning:
            _score_training_pictures(cfg, self._indices(2 * labelled, seed)[labelled:])
        return cfg

    def _encoder(self, row: Row, changes: Mapping[str, Any]) -> dict[str, Any]:
        """What a row changes in the config of its encoder."""
        if row.reads_tokens:
            tokenizer = self._config('mage').model.data_preprocessor.tokenizer
            tokenizer.model.type = 'mmpretrain.VQGAN'
            changes = {**changes, 'tokenizer': tokenizer}
        return {f'model.backbone.{key}': value for key, value in changes.items()}

    def _indices(self, number: int, seed: int) -> list[int]:
        """The draw of :func:`draw_pictures` as places in the list of all training pictures."""
        pictures = find_pictures(self.data, 'training')
        if number > len(pictures):
            raise ValueError(f'{number} labelled pictures are needed, {self.data} has '
                             f'{len(pictures)} for training: ask for fewer.')
        places = {picture: place for place, picture in enumerate(pictures)}
        return [places[picture] for picture in draw_pictures(pictures, number, seed)]

    def _config(self, name: str, options: Mapping[str, Any] | None = None) -> Config:
        cfg = Config(self._placed(self._read(name)), format_python_code=False)
        cfg.merge_from_dict(dict(options or {}))
        return cfg

    @cached_property
    def _read(self) -> Callable[[str], dict[str, Any]]:
        """Reads a config of the study, once."""
        return cache(lambda name: Config.fromfile(
            self.configs / f'{name}_dense-study.py', import_custom_modules=False).to_dict())

    def _pretraining(self, name: str, options: Mapping[str, Any] | None = None) -> Config:
        cfg = self._config(name, options)
        cfg.train_dataloader.dataset.times *= self.times
        return cfg

    def _placed(self, value: Any) -> Any:
        """A config with the study's folders in the place of the written ones."""
        if isinstance(value, Mapping):
            return {key: self._placed(inner) for key, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self._placed(inner) for inner in value)
        if isinstance(value, str):
            value = value.replace(_DATA, str(self.data)).replace(_RUNS, str(self.work_dir))
        return value

    def _stage(self, name: str, cfg: Config) -> Stage:
        folder = self.work_dir / name
        path = folder / 'config.py'
        cfg.work_dir = str(folder)
        write_config(cfg, path)
        return Stage(name, path, folder)

    def _cell(self, name: str, settings: Mapping[str, Any], recipe: Any,
              measure: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        self._check_pictures()
        text = json.dumps(recipe, sort_keys=True, default=str)
        noted = dict(digest_of_configs=hashlib.sha256(text.encode()).hexdigest())
        return ResultFolder(self.records).make(name, measure, settings, noted)

    def _recipe(self, name: str, then: str | None = None) -> list[Any]:
        """What the configs say of a row, of what it needs, and of the training that follows."""
        row = self.rows[name]
        configs = [row.config, *_BEFORE.get(row.config or '', ()), then]
        said = [self._read(config) for config in filter(None, configs)]
        others = [self._recipe(other) for other in (row.pretrained_as, row.starts_from) if other]
        changes = [row.options, row.frozen, row.tuned, row.reads_tokens]
        return [[{key: cfg.get(key) for key in _SETTINGS} for cfg in said], others, changes]

    def _check_pictures(self) -> None:
        """See that the records are of the study's own pictures; the first call notes which.

        Raises:
            ValueError: If they are of others, or of pre-trainings that read them more often.
        """
        folder = ResultFolder(self.records)
        if other_settings(folder.file('pictures'), self._pictures):
            raise ValueError(f'The records in {self.records} are of other pictures or label maps '
                             f'than those in {self.data}, or pre-training read them another number '
                             f'of times than {self.times}: name another folder for records.')
        folder.make('pictures', dict, self._pictures)

    @cached_property
    def _pictures(self) -> dict[str, Any]:
        """A hash of the pictures and label maps of each part, in order, and ``times`` if not 1."""
        pictures = {part: _hash(find_pictures(self.data, part)) for part in PARTS}
        return {**pictures, 'times': None if self.times == 1 else self.times}


def _hash(pictures: Sequence[Picture]) -> str:
    digest = hashlib.sha256()
    for picture in pictures:
        for values in picture.read():
            digest.update(str(values.shape).encode() + values.tobytes())
    return digest.hexdigest()


def _seconds_of_children() -> float:
    """Processor time of the trainings so far: on a busy machine the clock says little."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _held_out(folder: Path) -> dict[str, float]:
    """The last validation of a pre-training; empty if it has none, as MAE."""
    lines = [json.loads(line) for path in sorted(folder.glob('*/vis_data/scalars.json'))
             for line in path.read_text().splitlines()]
    found = [line[CROSS_ENTROPY] for line in lines if CROSS_ENTROPY in line]
    return {CROSS_ENTROPY: found[-1]} if found else {}


def _score_training_pictures(cfg: Config, indices: Sequence[int]) -> None:
    """Validate on training pictures that are not learned from."""
    data, source = cfg.val_dataloader.dataset, cfg.train_dataloader.dataset
    data.update({key: source[key] for key in ('ann_file', 'data_prefix') if key in source})
    data.indices = list(indices)
    if 'ann_file' in cfg.val_evaluator:
        # The file's other pictures would count as missed: the metric takes the objects from here.
        cfg.val_evaluator.ann_file = None
        packing = data.pipeline[-1]
        packing.meta_keys = (*packing.meta_keys, 'instances')
