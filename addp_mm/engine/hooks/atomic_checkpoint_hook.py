"""Checkpoints that survive an interruption at any moment."""
from __future__ import annotations

import os
import os.path as osp
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from mmengine.dist import barrier, broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, FlexibleRunner, Runner

from ...atomic_write import remove_partial
from ...checkpoints.local_backend import AtomicBackend
from ...checkpoints.run_folder import POINTER, is_whole, newest_first, read_pointer
from ...registry import HOOKS
from ..folder_locks import FolderLocks
from ..fully_shard_strategy import FullyShardStrategy
from ..interruption import Interruption, exit_code, shield_workers
from ..optim_wrappers.finite_guard import REMEDIES, leaves_out_steps
from ..resuming import (
    can_stop,
    changed_settings,
    check_is_training,
    check_model,
    describe_run,
    end_of_epoch,
    is_complete,
    lacks_validation,
    obey_changes,
    refuse_changes,
    start_inside_epoch,
)

INTERRUPTED = 'interrupted.pth'     # what a run writes that was asked to end
VALIDATED = 'last_validation'       # file in the work folder: iteration of the last validation


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, for a run that may be stopped at any moment and then goes on.

    A checkpoint is written whole or not at all; then ``last_checkpoint`` is turned to it, then the
    oldest one is removed. mmengine removes first, and writes in place.

    A training in the folder of an earlier one goes on from its newest whole checkpoint if both have
    the same settings, and stops otherwise; a broken checkpoint is passed over with a warning. A run
    that is to resume (``resume=True``) goes on with the settings that it has now. ``load_from``
    without ``resume`` names start values. While a training lasts, no other one may use its folder,
    nor that of its checkpoints (``out_dir``).

    SIGTERM and SIGUSR1 end a training behind the iteration it is in: it writes ``interrupted.pth``
    and exits with 143 or 138, 128 plus the number of the signal. A validation that had no time any
    more is made up when the run goes on. There is one ``best_*`` for each measure.

    With an ``out_dir`` on a remote storage, checkpoints are those of mmengine's hook.

    Args:
        auto_resume: Go on with an earlier run of the same settings, also without ``resume=True``.
        milestone_interval: Keep the checkpoint of every so many epochs (iterations with
            ``by_epoch=False``) for good, beside the latest ``max_keep_ckpts``; None keeps none.
        **kwargs: Arguments of mmengine's ``CheckpointHook``.

    Raises:
        OSError: If a checkpoint cannot be written, for example on a full disk.
        ValueError: If the folder holds a run with other settings or is in use, or the checkpoint
            to resume does not fit; if no checkpoint is written at a milestone, or it is to be
            written to a remote storage.
        FloatingPointError: If a training ends while its steps are being left out.
    """

    def __init__(self, *args, auto_resume: bool = True, milestone_interval: int | None = None,
                 **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if milestone_interval is not None and (
                self.interval < 1 or milestone_interval < 1 or milestone_interval % self.interval):
            raise ValueError(f'milestone_interval must be a multiple of interval, {self.interval}, '
                             f'at which checkpoints are written, got {milestone_interval}.')
        self.auto_resume = auto_resume
        self.milestone_interval = milestone_interval
        self._is_automatic = False
        self._interruption = Interruption()
        self._saved_iter: int | None = None
        self._locks = FolderLocks()
        self._has_locked = False

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from, before the runner looks for it."""
        self.choose_checkpoint(runner)

    def choose_checkpoint(self, runner: Runner | FlexibleRunner) -> None:
        """As :meth:`before_run`, before which a ``FlexibleRunner`` has loaded already.

        Raises:
            ValueError: If another training uses the folder.
        """
        if not _trains(runner):
            # Only training resumes. To test, mmengine would build the optimizer and the training
            # data of a config that says `resume = True`.
            if runner._resume and runner._load_from is None and self._is_local(runner):
                self._find(runner)
            runner._resume = False
            return
        self._lock(runner)
        if not self._is_local(runner):
            return
        if runner._resume and runner._load_from is None:
            found = self._find(runner)
            runner._resume = found is not None
            runner.logger.info(f'Going on from {found}.' if found else
                               f'There is no checkpoint in {runner.work_dir}: starting anew.')
        elif not runner._resume and self.auto_resume:
            start = runner._load_from
            self._is_automatic = runner._resume = self._find(runner) is not None
            if self._is_automatic:
                runner.logger.info(f'Going on from {runner._load_from}.')
            else:
                runner._load_from = start

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the run that a checkpoint is of to this one.

        Raises:
            ValueError: If it is another one, or the new settings cannot hold for it.
        """
        if not runner._resume or not _trains(runner):
            return
        check_is_training(checkpoint, runner._load_from)
        found = changed_settings(runner, checkpoint)
        if self._is_automatic:
            refuse_changes(runner, found)
        check_model(runner, checkpoint)
        obey_changes(runner, checkpoint, found)

    def before_train(self, runner: Runner) -> None:
        """Find out where to write, clear away what is half written, make up for a validation."""
        is_local = self._is_local(runner)
        if is_local and _backend_counts(runner):
            self.backend_args = dict(backend='addp_atomic')
        super().before_train(runner)
        if self.milestone_interval and not isinstance(self.file_backend, AtomicBackend):
            raise ValueError('milestone_interval is for local folders, and for Runner or '
                             'FullyShardStrategy; the checkpoints of this run are written to '
                             f'{self.out_dir} by mmengine: set max_keep_ckpts=-1, which keeps all.')
        if is_local and is_main_process():
            _make_folder(self.out_dir)
            for folder in {self.out_dir, runner.work_dir}:
                for path in remove_partial(folder):
                    runner.logger.info(f'Removed {path}, left half written by a killed run.')
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                shield_workers(loop.dataloader)
        if runner._resume:
            self._go_on(runner)
        self._interruption.start()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Save, if it is an iteration's turn, or the run has been asked to end."""
        super().after_train_iter(runner, batch_idx, data_batch, outputs)
        if can_stop(runner) and (number := self._interruption.agree()):
            self._end(runner, number)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                       outputs: Any = None) -> None:
        """End now, if the run has been asked to and its state is on the disk."""
        if self._interruption.noted and _trains(runner) and self._saved_iter == runner.iter:
            self._exit(runner, self._interruption.noted)

    def after_train_epoch(self, runner: Runner) -> None:
        """Save, if it is an epoch's turn."""
        end_of_epoch(runner)
        super().after_train_epoch(runner)

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Keep the best checkpoint, and note that this validation took place."""
        super().after_val_epoch(runner, metrics)
        if not _trains(runner) or not is_main_process():
            return
        self._remove_other_bests()
        if isinstance(self.file_backend, AtomicBackend):
            self.file_backend.put_text(f'{runner.iter}\n', osp.join(runner.work_dir, VALIDATED))

    def after_train(self, runner: Runner) -> None:
        """Publish the checkpoint, if that is wanted.

        Raises:
            FloatingPointError: If the last steps were left out: nothing of them was saved.
        """
        if leaves_out_steps(runner.optim_wrapper):
            raise FloatingPointError(
                f'The training ended while its steps were left out, because their gradients were '
                f'not finite. The last checkpoint is {read_pointer(runner.work_dir) or "none"}. '
                f'{REMEDIES}')
        super().after_train(runner)

    def after_run(self, runner: Runner) -> None:
        """Give the folder free."""
        self._interruption.stop()
        self._locks.release()
        self._has_locked = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Last of all hooks: have the checkpoint go to the disk without a copy in memory."""
        checkpoint['meta'].update(describe_run(runner))
        if isinstance(self.file_backend, AtomicBackend):
            AtomicBackend.stream_next(checkpoint)

    def _save_checkpoint(self, runner: Runner) -> None:
        if leaves_out_steps(runner.optim_wrapper):
            runner.logger.warning('No checkpoint is written while steps are left out: the last one '
                                  f'stays {read_pointer(runner.work_dir) or "none"}.')
        else:
            super()._save_checkpoint(runner)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        self._saved_iter = meta['iter']
        if not isinstance(self.file_backend, AtomicBackend):
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated = self._keep_step(runner, step)
        self._write(runner, self.filename_tmpl.format(step), meta)
        if is_main_process():
            names = [*map(self.filename_tmpl.format, outdated), INTERRUPTED]
            for path in (osp.join(self.out_dir, name) for name in names):
                if osp.isfile(path):
                    self.file_backend.remove(path)

    def _write(self, runner: Runner, filename: str, meta: dict) -> None:
        """Write a checkpoint, then turn ``last_checkpoint`` to it."""
        self.last_ckpt = osp.join(self.out_dir, filename)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, filename, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            self.file_backend.put_text(self.last_ckpt, osp.join(runner.work_dir, POINTER))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not isinstance(self.file_backend, AtomicBackend):
            super()._save_best_checkpoint(runner, metrics)
            return
        if leaves_out_steps(runner.optim_wrapper):
            return
        with self.file_backend.late_removal():
            super()._save_best_checkpoint(runner, metrics)

    def _remove_other_bests(self) -> None:
        """Remove what a killed or damaged run has left beside its best checkpoint."""
        if not self.save_best or not isinstance(self.file_backend, AtomicBackend):
            return
        for key, path in self._bests().items():
            name = f'best_{key}_{self.filename_tmpl}'.replace('/', '_').replace('{}', '*')
            for other in Path(self.out_dir).glob(name):
                if path is not None and other.name != Path(path).name:
                    self.file_backend.remove(other)

    def _bests(self) -> dict[str, str | None]:
        """Path of the best checkpoint for each measure."""
        if len(self.key_indicators) == 1:
            return {self.key_indicators[0]: self.best_ckpt_path}
        return dict(self.best_ckpt_path_dict)

    def _stay_in_folder(self, runner: Runner) -> None:
        """Look for the best checkpoints here, if the run's folder was moved or copied."""
        if not self.save_best:
            return
        here = {key: path and osp.join(self.out_dir, osp.basename(path))
                for key, path in self._bests().items()}
        if len(here) == 1:
            self.best_ckpt_path = next(iter(here.values()))
        else:
            self.best_ckpt_path_dict.update(here)

    def _go_on(self, runner: Runner) -> None:
        """What a resumed run does before its first iteration."""
        self.last_ckpt = runner._load_from
        self._stay_in_folder(runner)
        if is_complete(runner.train_loop):
            runner.logger.warning(
                f'The training in {runner.work_dir} is complete: there is nothing left to do. To '
                'train anew, choose another --work-dir.')
        start_inside_epoch(runner)
        if lacks_validation(runner, _last_validation(runner)):
            runner.logger.info(
                f'The validation after iteration {runner.iter} had not ended: it is made up.')
            runner.val_loop.run()

    def _end(self, runner: Runner, number: int) -> NoReturn:
        if self._saved_iter != runner.iter + 1 and not leaves_out_steps(runner.optim_wrapper) \
                and isinstance(self.file_backend, AtomicBackend):
            self._write(runner, INTERRUPTED, dict(epoch=runner.epoch, iter=runner.iter + 1))
        barrier()       # or torchrun would end the process that writes
        self._exit(runner, number)

    def _exit(self, runner: Runner, number: int) -> NoReturn:
        code = exit_code(number)
        runner.logger.warning(
            f'{signal.Signals(number).name}: the training ends with exit code {code}. The same '
            f'command goes on from {read_pointer(runner.work_dir) or "the start"}.')
        self._interruption.stop()
        sys.exit(code)

    def _lock(self, runner: Runner) -> None:
        if self._has_locked:        # FlexibleRunner calls twice; all processes must agree
            return
        self._has_locked = True
        taken = [self._locks.acquire(self._folders(runner)) if is_main_process() else None]
        broadcast_object_list(taken)
        if taken[0]:
            raise ValueError(f'Another process trains in {taken[0]}: wait for it, stop it, or '
                             'choose a --work-dir of another name.')

    def _folders(self, runner: Runner) -> list[Path]:
        """What no other training may use meanwhile."""
        own = [Path(runner.work_dir)]
        is_elsewhere = self.out_dir and self._is_local(runner)
        return [*own, self._checkpoint_folder(runner)] if is_elsewhere else own

    def _find(self, runner: Runner) -> str | None:
        """Have the runner load the newest whole checkpoint, if there is one."""
        found = [self._newest_whole(runner) if is_main_process() else None]
        broadcast_object_list(found)
        runner._load_from = found[0]
        return found[0]

    def _keep_step(self, runner: Runner, step: int) -> list[int]:
        """Note a step among the latest, and return what is one too many and no milestone."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return []
        is_full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        outdated = [self.keep_ckpt_ids.popleft()] if is_full else []
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        interval = self.milestone_interval
        return [old for old in outdated if interval is None or old % interval]

    def _is_local(self, runner: Runner) -> bool:
        if self.file_client_args is not None:
            return False
        backend = get_file_backend(
            self.out_dir or runner.work_dir, backend_args=self.backend_args)
        return isinstance(backend, LocalBackend)

    def _checkpoint_folder(self, runner: Runner) -> Path:
        """As in `before_train` of the parent, which comes too late to ask."""
        work_dir = Path(runner.work_dir)
        return Path(self.out_dir, work_dir.name) if self.out_dir else work_dir

    def _newest_whole(self, runner: Runner) -> str | None:
        folder = self._checkpoint_folder(runner)
        for path in newest_first(runner.work_dir, folder, self.filename_tmpl):
            if is_whole(path):
                return str(path)
            runner.logger.warning(
                f'{path} is broken (it was cut off or damaged); trying an older checkpoint.')
        return None


def _backend_counts(runner: Runner | FlexibleRunner) -> bool:
    """Whether a checkpoint is written as the hook says: mmengine's strategies drop its backend."""
    return not isinstance(runner, FlexibleRunner) or isinstance(
        runner.strategy, FullyShardStrategy)


def _make_folder(path: str) -> None:
    """Not at the first checkpoint, which may come after hours."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise ValueError(f'Checkpoints cannot be written to {path}: {error.strerror}. Set another '
                         'default_hooks.checkpoint.out_dir.') from error


def _trains(runner: Runner | FlexibleRunner) -> bool:
    return isinstance(runner._train_loop, BaseLoop)


def _last_validation(runner: Runner) -> int | None:
    try:
        return int(Path(runner.work_dir, VALIDATED).read_text(encoding='utf-8'))
    except (FileNotFoundError, ValueError):
        return None
