"""Checkpoints that survive an interruption at any moment."""
from __future__ import annotations

import os.path as osp
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.fileio import LocalBackend, get_file_backend
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, FlexibleRunner, Runner

from ...atomic_write import remove_partial
from ...checkpoints.local_backend import AtomicBackend
from ...checkpoints.run_folder import POINTER, is_whole, newest_first
from ...registry import HOOKS
from ..fully_shard_strategy import FullyShardStrategy


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, with its options, for a run that may be killed.

    A checkpoint is written whole or not at all; then ``last_checkpoint`` is turned to it, then the
    oldest one is removed. mmengine removes first, and writes in place. A run that is to resume
    (``resume=True`` and no ``load_from``) goes on from the newest whole checkpoint, also after its
    folder was moved: a broken one is passed over with a warning.

    With an ``out_dir`` on a remote storage it does what mmengine's hook does.

    Raises:
        OSError: If a checkpoint cannot be written, for example on a full disk.
    """

    def before_run(self, runner: Runner) -> None:
        """Choose the checkpoint to resume from, before the runner looks for it."""
        self.choose_checkpoint(runner)

    def choose_checkpoint(self, runner: Runner | FlexibleRunner) -> None:
        """As :meth:`before_run`, before which a ``FlexibleRunner`` has loaded already."""
        if runner._resume and runner._load_from is None and self._is_local(runner):
            found = [self._newest_whole(runner) if is_main_process() else None]
            broadcast_object_list(found)
            runner._load_from = found[0]
            runner._resume = found[0] is not None
            runner.logger.info(
                f'Going on from {found[0]}.' if found[0] else
                f'There is no checkpoint in {runner.work_dir}: starting anew.')
        if not isinstance(runner._train_loop, BaseLoop):
            # Only training resumes. To test, mmengine would build the optimizer and the training
            # data of a config that says `resume = True`.
            runner._resume = False

    def before_train(self, runner: Runner) -> None:
        """Find out where to write, and clear away what a killed run left half written."""
        is_local = self._is_local(runner)
        if is_local and _backend_counts(runner):
            self.backend_args = dict(backend='addp_atomic')
        super().before_train(runner)
        if is_local and is_main_process():
            for folder in {self.out_dir, runner.work_dir}:
                for path in remove_partial(folder):
                    runner.logger.info(f'Removed {path}, left half written by a killed run.')

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Last of all hooks: have the checkpoint go to the disk without a copy in memory."""
        if isinstance(self.file_backend, AtomicBackend):
            AtomicBackend.stream_next(checkpoint)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if not isinstance(self.file_backend, AtomicBackend):
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = osp.join(self.out_dir, filename)
        outdated = self._keep_step(runner, step)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir, filename, save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
            backend_args=self.backend_args, **self.args)
        if is_main_process():
            self.file_backend.put_text(self.last_ckpt, osp.join(runner.work_dir, POINTER))
            for path in (osp.join(self.out_dir, self.filename_tmpl.format(s)) for s in outdated):
                if osp.isfile(path):
                    self.file_backend.remove(path)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not isinstance(self.file_backend, AtomicBackend):
            super()._save_best_checkpoint(runner, metrics)
            return
        with self.file_backend.late_removal():
            super()._save_best_checkpoint(runner, metrics)

    def _keep_step(self, runner: Runner, step: int) -> list[int]:
        """Note a step among the kept ones, and return those that are one too many with it."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return []
        is_full = len(self.keep_ckpt_ids) == self.max_keep_ckpts
        outdated = [self.keep_ckpt_ids.popleft()] if is_full else []
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated

    def _is_local(self, runner: Runner) -> bool:
        if self.file_client_args is not None:
            return False
        backend = get_file_backend(
            self.out_dir or runner.work_dir, backend_args=self.backend_args)
        return isinstance(backend, LocalBackend)

    def _newest_whole(self, runner: Runner) -> str | None:
        # As in `before_train` of the parent, which comes too late to ask.
        name = Path(runner.work_dir).name
        out_dir = Path(self.out_dir, name) if self.out_dir else Path(runner.work_dir)
        for path in newest_first(runner.work_dir, out_dir, self.filename_tmpl):
            if is_whole(path):
                return str(path)
            runner.logger.warning(
                f'{path} is broken (it was cut off or damaged); trying an older checkpoint.')
        return None


def _backend_counts(runner: Runner | FlexibleRunner) -> bool:
    """Whether a checkpoint is written as the hook says: mmengine's strategies drop its backend."""
    return not isinstance(runner, FlexibleRunner) or isinstance(
        runner.strategy, FullyShardStrategy)
