"""Accumulated gradients and the ends of epochs."""
from __future__ import annotations

from collections.abc import Iterable

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner

from ...registry import HOOKS


@HOOKS.register_module()
class EpochAccumulationHook(Hook):
    """Ends each epoch with a step of the optimizer, whatever number of gradients is waiting.

    mmengine lets an accumulation go on over the end of an epoch. The gradients that wait there are
    not in the checkpoint: a resumed run would lose them and step at other iterations than the
    uninterrupted one. With this hook the last step of an epoch averages over the batches that are
    left, as mmengine's last step of a run does.
    """

    def before_train(self, runner: Runner) -> None:
        """Warn where no step can gather as many batches as it should."""
        if not isinstance(runner.train_loop, EpochBasedTrainLoop):
            return
        num_batches = len(runner.train_loop.dataloader)
        most = max(part._accumulative_counts for part in _parts(runner.optim_wrapper))
        if most > num_batches:
            runner.logger.warning(
                f'accumulative_counts is {most}, an epoch has {num_batches} batches: each epoch '
                f'ends with a step, so that none gathers more than {num_batches}. Lower it, and '
                'choose the learning rate for that.')

    def before_train_epoch(self, runner: Runner) -> None:
        """Count accumulated batches anew."""
        wrapper, loop = runner.optim_wrapper, runner.train_loop
        if not isinstance(loop, EpochBasedTrainLoop):
            return
        num_batches = len(loop.dataloader)
        if any(num_batches % part._accumulative_counts for part in _parts(wrapper)):
            # Of an OptimWrapperDict whose parts step at rates of their own, this does nothing.
            done = loop.iter - loop.epoch * num_batches     # of a run that goes on inside an epoch
            wrapper.initialize_count_status(runner.model, done, num_batches)


def _parts(wrapper: OptimWrapper | OptimWrapperDict) -> Iterable[OptimWrapper]:
    return wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
