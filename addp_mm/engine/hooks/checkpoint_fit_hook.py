"""A test or a training takes no checkpoint that is not its model's."""
from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.model import BaseTTAModel
from mmengine.runner import BaseLoop, Runner
from torch import nn

from ...checkpoints import PretrainedEncoder
from ...checkpoints.finite_weights import check_finite
from ...checkpoints.fit import check_complete, check_start, load_what_fits, names_that_fit
from ...checkpoints.run_settings import OTHER_MODEL, other_model
from ...checkpoints.trained_encoder import input_of, other_heads, other_input
from ...checkpoints.weight_files import meta_of, state_dict_of
from ...models.layers import TokenPatchEmbed
from ...registry import HOOKS
from ..unwrapped import unwrapped

_STRATEGIES = ('SingleDeviceStrategy', 'DDPStrategy', 'FullyShardStrategy')


@HOOKS.register_module()
class CheckpointFitHook(Hook):
    """Stops where a checkpoint does not fit the model; mmengine goes on with random weights.

    Before a test or a validation no tensor may keep its start value. The start values of a
    training (``load_from``) must hold the whole encoder, and other parts whole or not at all; a
    head may have other classes. What starts anew is warned of, and a test of a model whose settings
    are not those that the checkpoint was trained with. In all of them, what an encoder's tensors do
    not show is compared: its heads, and what its images are normalised with (where it learns, only
    whether they are on another scale). An encoder of tokens must undo what the data preprocessor
    does. Resuming is left to :class:`AtomicCheckpointHook`. With a ``FlexibleRunner`` it knows the
    strategies that keep the names of the model: on one device, copied to several, and
    :class:`FullyShardStrategy`.

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
        meta, encoder = meta_of(checkpoint), getattr(model, 'backbone', None)
        compare = names_that_fit if _is_spread(strategy) else load_what_fits
        fit = compare(model, weights)
        if trains:
            for note in check_start(model, fit, runner._load_from):
                runner.logger.warning(note)
            _warn(runner, runner._load_from, other_heads(meta, encoder))
            _compare_input(runner, runner._load_from, meta)
            return
        check_complete(model, fit, runner._load_from)
        if fit.left_over:
            runner.logger.warning(f'{runner._load_from}: {fit}.')
        _warn(runner, runner._load_from, other_model(meta, runner.cfg)
              or other_heads(meta, encoder) or other_input(meta, model.data_preprocessor))

    def before_train(self, runner: Runner) -> None:
        """Compare the input of an encoder of tokens, and of one that was loaded alone.

        Raises:
            ValueError: If the pictures that the tokens are of would be others.
        """
        _check_token_input(unwrapped(runner.model))
        encoder = getattr(unwrapped(runner.model), 'backbone', None)
        if isinstance(encoder, PretrainedEncoder):
            _compare_input(runner, *encoder.pretrained)

    def before_test(self, runner: Runner) -> None:
        """As :meth:`before_train`, of an encoder of tokens."""
        model = unwrapped(runner.model)
        _check_token_input(model.module if isinstance(model, BaseTTAModel) else model)


def _check_token_input(model: nn.Module) -> None:
    patches = getattr(getattr(model, 'backbone', None), 'patch_embed', None)
    if not isinstance(patches, TokenPatchEmbed):
        return
    undone, done = input_of(patches), input_of(model.data_preprocessor)
    for name in ('mean', 'std'):
        if undone[name] != done.get(name, undone[name]):
            raise ValueError(
                f'model.data_preprocessor normalises with {name}={done[name]}, and model.backbone '
                f'takes its tokens of images that were normalised with {undone[name]}: they would '
                'be of other pictures. Set the same in both, for the encoder in patch_cfg.')


def _compare_input(runner: Runner, path: str, meta: dict[str, Any]) -> None:
    """Warn where an encoder reads images as those of its pre-training were not."""
    model = unwrapped(runner.model)
    learns = getattr(getattr(model, 'backbone', None), 'frozen_stages', -1) <= 0
    _warn(runner, path, other_input(meta, model.data_preprocessor, learns))


def _warn(runner: Runner, path: str, changes: str) -> None:
    if changes:
        runner.logger.warning(OTHER_MODEL.format(path, changes))


def _is_spread(strategy: Any) -> bool:
    return type(strategy).__name__ == 'FullyShardStrategy'
