"""Trainings that build on each other, one after the other, each in a process of its own."""
from __future__ import annotations

import importlib.metadata
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..checkpoints.run_settings import changes_since, in_words
from ..checkpoints.weight_files import load_checkpoint, sha256_of
from ..config_file import change_config, read_config_file
from ..engine.hooks import START_VALUES
from ..engine.interruption import PARENT
from ..models.layers import FROZEN_WEIGHTS
from ..result_folder import try_lock
from .training_log import StageLog, explain_failure

PACKAGE = Path(__file__).resolve().parents[1]
# What trains, for Python, with the flags of OpenMMLab's training tools.
TRAINER = ('-m', 'addp_mm.cli.train')
TITLES = {'vqgan': 'tokenizer', 'mage': 'token predictor', 'mae': 'masked autoencoder',
          'addp': 'ADDP'}
# The keys of a stage's config that name the weights of an earlier stage.
INPUTS = {
    'model.data_preprocessor.tokenizer.checkpoint': 'vqgan',
    'model.data_preprocessor.token_predictor.checkpoint': 'mage',
    'model.backbone.init_cfg.checkpoint': 'mae',
}
_POLL_SECONDS = 0.2


class StageError(RuntimeError):
    """A training cannot be run or has failed; the message says why and what to do."""


@dataclass(frozen=True)
class Stage:
    """One training of a chain.

    Attributes:
        name: Short name, that of its folder.
        config: Its config file.
        work_dir: Where its log and checkpoints go.
        options: What is changed in the config, as ``--cfg-options`` takes it.
        trainer: What trains, as the words after ``python``.
    """

    name: str
    config: Path
    work_dir: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    trainer: Sequence[str] = TRAINER

    @property
    def title(self) -> str:
        """What it trains, in words."""
        return TITLES.get(self.name, self.name)

    @cached_property
    def cfg(self) -> Config:
        """The config with its options; what it imports is not imported."""
        cfg = read_config_file(self.config, import_custom_modules=False)
        change_config(cfg, self.options)
        return cfg

    @property
    def checkpoint(self) -> Path:
        """The file that a finished training leaves; it is written whole or not at all."""
        loop = self.cfg.train_cfg
        last = f'epoch_{loop.max_epochs}' if 'max_epochs' in loop else f'iter_{loop.max_iters}'
        return self.work_dir / f'{last}.pth'

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.checkpoint.is_file()

    @property
    def log(self) -> Path:
        """Everything that the training prints."""
        return self.work_dir / 'train.log'

    @property
    def command(self) -> list[str]:
        """What runs it, also by hand: it goes on from the last checkpoint of ``work_dir``."""
        command = [sys.executable, *self.trainer, _shorten(self.config), '--work-dir',
                   _shorten(self.work_dir)]
        options = [f'{key}={value}' for key, value in self.options.items()]
        return command + ['--cfg-options', *options] * bool(options)

    @property
    def command_line(self) -> str:
        """The command for a shell; where addp_mm is not installed, with the way to it."""
        line = shlex.join(self.command)
        try:
            importlib.metadata.distribution('addp_mm')
        except importlib.metadata.PackageNotFoundError:
            return f'PYTHONPATH={shlex.quote(_shorten(PACKAGE.parent))} {line}'
        return line


def chain_stages(config_dir: Path, out: Path, options: Mapping[str, Any]) -> list[Stage]:
    """The stages vqgan, mage and addp, each fed with the checkpoints of the earlier ones.

    Args:
        config_dir: Holds ``vqgan.py``, ``mage.py`` and ``addp.py``, or one file for each whose name
            begins so: ``vqgan_long.py``.
        out: Each stage works in the folder of its name in here.
        options: What is changed in every config. Keys that a config has not are set all the same.

    Returns:
        The stages in order. Options that say what the config says anyway are left out.
    """
    stages: dict[str, Stage] = {}
    for name in ('vqgan', 'mage', 'addp'):
        path = _find_config(config_dir, name)
        cfg = read_config_file(path, import_custom_modules=False)
        wanted = {key: str(stages[source].checkpoint)
                  for key, source in INPUTS.items()
                  if source in stages and get_setting(cfg, key) is not None}
        wanted.update(options)
        changed = {key: value for key, value in wanted.items() if get_setting(cfg, key) != value}
        stages[name] = Stage(name, path, out / name, changed)
    return list(stages.values())


def _find_config(folder: Path, algorithm: str) -> Path:
    """The config of a folder whose name is that of the algorithm, or begins with it."""
    names = [f'{algorithm}.py', *sorted(path.name for path in folder.glob(f'{algorithm}_*.py'))]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(f'{folder} has no config of the {TITLES[algorithm]}, expected '
                                f'{algorithm}.py.')
    return found[0]


def run_stages(stages: Sequence[Stage], say: Callable[[str], None]) -> None:
    """Run what is not finished yet, in order.

    Args:
        stages: The trainings.
        say: Takes the lines that tell how far it is.

    Raises:
        StageError: If a stage fails, or finished with other inputs or settings than it would have
            now, or another process trains in the same folder.
    """
    for number, stage in enumerate(stages, 1):
        run_stage(stage, say, f'[{number}/{len(stages)} {stage.title}]')


def run_stage(stage: Stage, say: Callable[[str], None], label: str = '') -> None:
    """Run one stage to its end; see :func:`run_stages`."""
    check_finished(stage)
    if stage.is_finished:
        say(f'{label} already finished: {_shorten(stage.checkpoint)}')
        return
    say(f'{label} {stage.command_line}')
    started = time.monotonic()
    lock: list[int] = []
    with try_lock(stage.work_dir / '.lock', lock) as is_ours:
        if not is_ours:
            raise StageError(f'Another process trains in {stage.work_dir}: wait for it, or stop it '
                             '(`ps aux | grep addp_mm.cli.train` finds it).')
        log = StageLog(stage.log)
        code = _train(stage, lock, log, lambda line: say(f'{label} {line}'))
    if code or not stage.is_finished:
        raise StageError(f'{label} failed. {explain_failure(stage.log, code)}')
    say(f'{label} done in {_minutes(time.monotonic() - started)}  {log.metrics}')


def check_finished(stage: Stage, results: Path | None = None) -> None:
    """See that a finished stage was trained as it would be now.

    Args:
        stage: The training.
        results: What must be removed for it to be made again; None: its own folder.

    Raises:
        StageError: If the weights that its config names are other ones, or its settings are.
    """
    if stage.is_finished:
        meta, results = load_checkpoint(stage.checkpoint)['meta'], results or stage.work_dir
        _check_inputs(stage, meta.get(FROZEN_WEIGHTS, {}), 'checkpoint', results)
        _check_inputs(stage, meta.get(START_VALUES, {}), 'init_cfg.checkpoint', results)
        _check_settings(stage, meta, results)


def _check_inputs(stage: Stage, used: Mapping[str, str], key: str, results: Path) -> None:
    """Compare hashes of files, by the modules that read them, to those that the config names."""
    for module, digest in used.items():
        path = get_setting(stage.cfg, f'model.{module}.{key}')
        if path is not None and Path(path).is_file() and sha256_of(path) != digest:
            raise StageError(
                f'{_shorten(stage.checkpoint)} was trained with another {module.split(".")[-1]} '
                f'than {path}: the two no longer fit. Remove {_shorten(results)} to train '
                'it again, or put the earlier file back.')


def _check_settings(stage: Stage, meta: Mapping[str, Any], results: Path) -> None:
    found = {name: pair for name, pair in changes_since(meta, stage.cfg).items()
             if not _is_moved(*pair)}
    if found:
        raise StageError(
            f'{_shorten(stage.checkpoint)} was trained with other settings than those of '
            f'{_shorten(stage.config)}: {in_words(found)}. Remove {_shorten(results)} to '
            'train it again, choose another folder, or put the settings back.')


def _is_moved(earlier: Any, now: Any) -> bool:
    """Whether two values may be the path of one file, whose folder has another name or place."""
    if not (isinstance(earlier, str) and isinstance(now, str) and os.sep in earlier + now):
        return False
    return Path(earlier).name == Path(now).name


def child_environment() -> dict[str, str]:
    """The variables of a process that trains: it finds this package, and shares the CPU well."""
    paths = [str(PACKAGE.parent), os.environ.get('PYTHONPATH', '')]
    # How often a thread of GNU OpenMP looks for work before it sleeps. By default it looks 300,000
    # times, which makes a training ten times as slow where another program is busy too; where none
    # is, 500 times make a small network a third slower than this number.
    return {'GOMP_SPINCOUNT': '20000', **os.environ, 'PYTHONUNBUFFERED': '1',
            'PYTHONPATH': os.pathsep.join(filter(None, paths))}


def _train(stage: Stage, lock: Sequence[int], log: StageLog, say: Callable[[str], None]) -> int:
    """Run the trainer and report its log as it grows; the trainer's exit code."""
    with stage.log.open('a') as out:
        # The trainer writes to the file itself: it needs no reader. It keeps the lock as it lives,
        # and ends with this process, however that ends.
        environment = child_environment() | {PARENT: str(os.getpid())}
        process = subprocess.Popen(stage.command, stdout=out, stderr=subprocess.STDOUT,
                                   env=environment, pass_fds=lock)
    try:
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            log.report(say)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    log.report(say)
    return process.returncode


def get_setting(cfg: Config, key: str) -> Any:
    """The value at a dotted key, None if there is none."""
    value: Any = cfg
    for part in key.split('.'):
        value = value.get(part) if hasattr(value, 'get') else None
    return value


def _shorten(path: Path) -> str:
    """Relative to the working folder where it lies inside of it."""
    absolute, here = Path(os.path.abspath(path)), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def _minutes(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d} min'
