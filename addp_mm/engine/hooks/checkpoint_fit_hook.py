"""A test or a training takes no checkpoint that is not its model's."""
from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, Runner

from ...checkpoints.finite_weights import check_finite
from ...checkpoints.fit import check_complete, check_start, load_what_fits, names_that_fit
from ...checkpoints.run_settings import OTHER_MODEL, other_model
from ...checkpoints.weight_files import state_dict_of
from ...registry import HOOKS
from ..unwrapped import unwrapped

_STRATEGIES = ('SingleDeviceStrategy', 'DDPStrategy', 'FullyShardStrategy')


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Stops where a checkpoint does not fit the model; mmengine goes on with random weights.

    Before a test or a validation no tensor may keep its start value. The start values of a
    training (``load_from``) must hold the whole encoder, and other parts whole or not at all; a
    head may have other classes. What starts anew is warned of, and a test of a model whose settings
    are not those that the checkpoint was trained with. Resuming is left to
    :class:`AtomicCheckpointHook`. With a ``FlexibleRunner`` it knows the strategies that keep the
    names of the model: on one device, copied to several, and :class:`FullyShardStrategy`.

    The weights may stand under 'state_dict', 'model' or 'module', be arrays of numpy, or have the
    '_orig_mod.' of ``torch.compile`` in their names.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the checkpoint with the model.

        Raises:
            ValueError: If it does not fit, or holds numbers that are not finite.
        """
        strategy = getattr(runner, 'strategy', None)        # of a FlexibleRunner
        if strategy is not None and type(strategy).__name__ not in _STRATEGIES:
            return
        checkpoint['state_dict'] = weights = state_dict_of(checkpoint, runner._load_from)
        trains = isinstance(runner._train_loop, BaseLoop)
        if trains and runner._resume:
            return
        check_finite(weights, runner._load_from)
        model = unwrapped(runner.model)
        model = model.module if isinstance(model, BaseTTAModel) else model
        compare = names_that_fit if _is_spread(strategy) else load_what_fits
        fit = compare(model, weights)
        if trains:
            for note in check_start(model, fit, runner._load_from):
                runner.logger.warning(note)
            return
        check_complete(model, fit, runner._load_from)
        if fit.left_over:
            runner.logger.warning(f'{runner._load_from}: {fit}.')
        if changes := other_model(checkpoint.get('meta'), runner.cfg):
            runner.logger.warning(OTHER_MODEL.format(runner._load_from, changes))


def _is_spread(strategy: Any) -> bool:
    return type(strategy).__name__ == 'FullyShardStrategy'
