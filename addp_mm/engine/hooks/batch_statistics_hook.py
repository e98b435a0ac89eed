"""The running statistics of batch norms, one for all processes."""
from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from ...registry import HOOKS
from ..unwrapped import unwrapped


@HOOKS.register_module()
class BatchStatisticsHook(Hook):
    """Averages running means and variances over the processes, after each iteration.

    Where batch norms do not share their batches (there is no ``SyncBatchNorm`` on a CPU), each
    process has statistics of its own. A checkpoint holds those of the first one, so that scores
    would change where a run goes on from it. Their averages are those of the whole batch, but for
    what the means of the processes differ by.
    """

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Average, before a checkpoint is written or a validation begins."""
        statistics = _statistics(runner)
        if not statistics or get_world_size() == 1:
            return
        values = torch.cat(statistics)
        all_reduce(values, 'mean')
        for own, common in zip(statistics, values.split([len(x) for x in statistics]), strict=True):
            own.copy_(common)


def _statistics(runner: Runner) -> list[Tensor]:
    norms = [module for module in unwrapped(runner.model).modules()
             if isinstance(module, _BatchNorm) and module.running_mean is not None]
    return [tensor for norm in norms for tensor in (norm.running_mean, norm.running_var)
            if tensor is not None]
