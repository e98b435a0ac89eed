"""How well encoders recognise images from a few labels: several methods, several choices of labels.

The learning rate of a method is chosen by one run for each candidate, with a seed of its own, by
the accuracy on all training images; the images that are reported on take no part in it.
"""
from __future__ import annotations

import hashlib
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..apis.train import build_runner
from ..atomic_write import write_json, write_whole
from ..checkpoints.weight_files import sha256_of
from ..config_file import read_config_file
from ..result_folder import ResultFolder
from .tables import markdown_table, mean_and_spread

TUNING_SEED = 100       # no seed that is reported
_RATE = 'optim_wrapper.optimizer.lr'


@dataclass(frozen=True)
class Method:
    """One row of the table.

    Attributes:
        title: What it is called in the table.
        config: Its config file; a folder is given elsewhere.
        options: What is changed in it, as ``--cfg-options`` takes it.
        rates: Learning rates to choose from; empty where nothing is trained.
        checkpoint: What a method that trains nothing is tested with.
    """

    title: str
    config: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()
    checkpoint: str | None = None


@dataclass(frozen=True)
class LabelEfficiency:
    """Measures methods, one run after the other, and keeps what is done.

    Several processes may work in one folder: each leaves out what another one works on.

    Attributes:
        config_dir: Folder of the methods' configs.
        out: Folder of the results.
        on_record: Called with the name and the record of each run that was made.
    """

    config_dir: Path
    out: Path
    on_record: Callable[[str, dict[str, Any]], None] = lambda name, record: None

    def run(self, name: str, method: Method, seeds: Sequence[int]) -> list[dict[str, Any]] | None:
        """Measure a method for each seed, which chooses the labels and seeds the training.

        Returns:
            The records, None if another process works on a part of them.

        Raises:
            FileNotFoundError: If a config or checkpoint is missing.
            ValueError: If an earlier record was made with another config or other weights.
        """
        rate = None
        if method.rates:
            trials = _whole([self._record(name, method, TUNING_SEED, rate, True)
                             for rate in method.rates])
            if trials is None:
                return None
            rate = max(trials, key=lambda trial: trial['accuracy'])['rate']
        return _whole([self._record(name, method, seed, rate, False) for seed in seeds])

    def _record(self, name: str, method: Method, seed: int, rate: float | None,
                tuning: bool) -> dict[str, Any] | None:
        stem = f'tuning_{rate:g}' if tuning else f'seed_{seed}'
        cfg = method_config(self.config_dir, method, seed, rate, tuning)
        made_with = dict(seed=seed, rate=rate, inputs=fingerprint(cfg, method.checkpoint))
        cfg.work_dir, cfg.experiment_name = str(self.out / name / stem), f'{name}_{stem}'

        def measure() -> dict[str, float]:
            start = time.monotonic()
            record = dict(accuracy=_accuracy(cfg, method.checkpoint),
                          seconds=time.monotonic() - start)
            self.on_record(f'{name}, {stem}', record)
            return record

        return ResultFolder(self.out).make(f'{name}/{stem}', measure, made_with)


def _whole(records: list[dict[str, Any] | None]) -> list[dict[str, Any]] | None:
    """The records, None if one is still being made."""
    made = [record for record in records if record is not None]
    return made if len(made) == len(records) else None


def method_config(config_dir: Path, method: Method, seed: int, rate: float | None,
                  tuning: bool) -> Config:
    """The config of one run, but for its folder.

    Args:
        config_dir: Folder of the configs.
        method: The method.
        seed: Chooses the labels and seeds the training.
        rate: Peak learning rate, None where nothing is trained.
        tuning: Test on the training images instead of the held-out ones.
    """
    path = config_dir / method.config
    if not path.is_file():
        raise FileNotFoundError(f'There is no config {path}.')
    # Laying out the text of a config takes seconds.
    cfg = Config(read_config_file(path).to_dict(), format_python_code=False)
    changes = {'randomness.seed': seed, **method.options}
    if rate is None:
        changes['model.gallery.dataset.labels_seed'] = seed
    else:
        changes.update({'train_dataloader.dataset.labels_seed': seed, _RATE: rate})
    if tuning:
        changes['test_dataloader.dataset.data_prefix'] = cfg.train_dataloader.dataset.data_prefix
    cfg.merge_from_dict(changes)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = cfg.visualizer = None
    cfg.default_hooks.checkpoint = None
    # mmengine warns of each frozen tensor.
    cfg.resume, cfg.log_level = False, 'ERROR'
    return cfg


def fingerprint(cfg: Config, checkpoint: str | None) -> str:
    """Hash of a config and of the weight files that it names.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    digest = hashlib.sha256(json.dumps(cfg.to_dict(), sort_keys=True, default=str).encode())
    for path in sorted({*checkpoint_paths(cfg.model), *filter(None, [checkpoint])}):
        if not Path(path).is_file():
            raise FileNotFoundError(f'The weights {path} are missing: make digits trains them.')
        digest.update(sha256_of(path).encode())
    return digest.hexdigest()


def checkpoint_paths(value: Any) -> Iterator[str]:
    """Every value of a key ``checkpoint`` in a config, at any depth."""
    if isinstance(value, Mapping):
        if isinstance(value.get('checkpoint'), str):
            yield value['checkpoint']
        for inner in value.values():
            yield from checkpoint_paths(inner)


def summarise(method: Method, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One line of the table: mean and spread of the accuracy in percent, over the seeds."""
    accuracies = [record['accuracy'] for record in records]
    rate = records[0]['rate']
    edge = ' (edge)' if method.rates and rate in (method.rates[0], method.rates[-1]) else ''
    return {
        'method': method.title,
        'top-1, %': mean_and_spread(accuracies),
        'each seed': ' '.join(f'{accuracy:.1f}' for accuracy in accuracies),
        'learning rate': '' if rate is None else f'{rate:g}{edge}',
        'seconds a run': f'{statistics.mean(record["seconds"] for record in records):.0f}',
    }


def write_table(rows: Sequence[dict[str, Any]], out: Path) -> str:
    """Write ``recognition.json`` and ``recognition.md`` to ``out``; gives the Markdown."""
    text = markdown_table(rows)
    write_json(out / 'recognition.json', rows)
    write_whole(out / 'recognition.md', text.encode())
    return text


def _accuracy(cfg: Config, checkpoint: str | None) -> float:
    """Train if the config does, then test; percent."""
    cfg.load_from = checkpoint
    runner = build_runner(cfg)
    if checkpoint is None:
        runner.train()
    return runner.test()['accuracy/top1']
