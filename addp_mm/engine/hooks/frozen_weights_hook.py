"""A checkpoint remembers which frozen weights and start values it was trained with."""
from __future__ import annotations

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...checkpoints.weight_files import sha256_of
from ...models.layers import FROZEN_WEIGHTS, FrozenModule
from ...registry import HOOKS
from ..unwrapped import unwrapped

START_VALUES = 'start_values'   # where the hashes of the files in init_cfg stand in the meta


@HOOKS.register_module()
class FrozenWeightsHook(Hook):
    """Writes the hashes of the frozen files into checkpoints, compares them on resume.

    Frozen weights (tokenizer, token predictor) are not in a checkpoint. A resumed run with other
    ones would go on, with targets that mean something else. The files that a run takes its start
    values from are noted too, for those who want to know whether it would start so again.
    """

    def __init__(self) -> None:
        self._hashes: dict[str, str] | None = None
        self._starts: dict[str, str] | None = None

    def before_train(self, runner: Runner) -> None:
        """Hash the files now: they may change while the run goes on with what it has read."""
        if is_main_process():
            self._present_hashes(runner)
            if self._starts is None:
                self._starts = _hashes_of_starts(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note the SHA-256 of each file, by the module's name, in the meta data."""
        checkpoint['meta'][FROZEN_WEIGHTS] = self._present_hashes(runner)
        checkpoint['meta'][START_VALUES] = self._starts or {}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the frozen files with those of the checkpoint that is resumed.

        Raises:
            ValueError: If a file is another one.
        """
        if not runner._resume:
            return
        self._starts = checkpoint.get('meta', {}).get(START_VALUES, {})
        saved = checkpoint.get('meta', {}).get(FROZEN_WEIGHTS, {})
        for name, present in self._present_hashes(runner).items():
            if name not in saved:
                runner.logger.warning(f'The checkpoint does not say with which {name} it was '
                                      'trained: its weights go unchecked.')
            elif saved[name] != present:
                path = _frozen_modules(runner)[name].checkpoint
                raise ValueError(
                    f'The checkpoint was trained with another {name} than {path}: expected a file '
                    f'of SHA-256 {saved[name]}, got {present}. Put the earlier file back, or start '
                    'a new run in another work folder (--work-dir).')

    def _present_hashes(self, runner: Runner) -> dict[str, str]:
        if self._hashes is None:
            self._hashes = {n: m.sha256 for n, m in _frozen_modules(runner).items()}
        return self._hashes


def _frozen_modules(runner: Runner) -> dict[str, FrozenModule]:
    modules = unwrapped(runner.model).named_modules()
    return {n: m for n, m in modules if isinstance(m, FrozenModule)}


def _hashes_of_starts(runner: Runner) -> dict[str, str]:
    starts = {name: getattr(module, 'init_cfg', None)
              for name, module in unwrapped(runner.model).named_modules()}
    return {name: sha256_of(start['checkpoint']) for name, start in starts.items()
            if isinstance(start, dict) and Path(start.get('checkpoint') or '').is_file()}
