"""Several networks with an optimizer each, trained by one pass over the batch."""
from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from ...registry import OPTIM_WRAPPER_CONSTRUCTORS


class JointOptimWrapperDict(OptimWrapperDict):
    """An ``OptimWrapperDict`` whose parts are updated together.

    Where the graphs of the parts' losses share no parameter, one backward pass gives each
    parameter its own loss' gradient. So the usual ``train_step`` serves, alone and under
    ``MMDistributedDataParallel``, which then reduces each gradient once; mixed precision and
    accumulation work as in each part by itself.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The contexts of all parts: automatic mixed precision, no reduction while accumulating.

        Args:
            model: The whole model.
        """
        with ExitStack() as stack:
            for wrapper in self.values():
                stack.enter_context(wrapper.optim_context(model))
            yield

    def update_params(self, loss: dict[str, Tensor], step_kwargs: dict | None = None,
                      zero_kwargs: dict | None = None) -> None:
        """Go backward once and let each part that is due take its step.

        Args:
            loss: Scalar of each part, by its name.
            step_kwargs: Arguments for the optimizers' ``step``.
            zero_kwargs: Arguments for the optimizers' ``zero_grad``.

        Raises:
            ValueError: If the losses are not those of the parts.
        """
        if not isinstance(loss, dict) or loss.keys() != self.optim_wrappers.keys():
            names = sorted(loss) if isinstance(loss, dict) else 'one loss'
            raise ValueError(
                f'Expected a loss for each of the optimizers {sorted(self.keys())}, got {names}. '
                "The parts of optim_wrapper must be the model's trained parts.")
        torch.autograd.backward([_scaled(self[name], value) for name, value in loss.items()])
        for wrapper in self.values():
            wrapper._inner_count += 1       # what the wrapper's own `backward` would count
            if wrapper.should_update():
                wrapper.step(**(step_kwargs or {}))
                wrapper.zero_grad(**(zero_kwargs or {}))

    def initialize_count_status(self, model: nn.Module, cur_iter: int, max_iters: int) -> None:
        """Tell each part where the training stands.

        Args:
            model: The whole model.
            cur_iter: Iterations done.
            max_iters: Iterations of the whole training.
        """
        for wrapper in self.values():
            wrapper.initialize_count_status(model, cur_iter, max_iters)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class JointOptimWrapperConstructor:
    """Gives each named part of a model its own optimizer.

    The config holds an ``optim_wrapper`` config for each part, under the name of the model's
    attribute; each may have its own ``type``, ``optimizer``, ``clip_grad`` and ``paramwise_cfg``::

        optim_wrapper = dict(
            constructor='JointOptimWrapperConstructor',
            tokenizer=dict(optimizer=dict(type='Adam', lr=1e-4)),
            discriminator=dict(optimizer=dict(type='Adam', lr=1e-4)))

    Args:
        optim_wrapper_cfg: The configs by name.
        paramwise_cfg: Not taken here but in the parts.

    Raises:
        ValueError: If ``paramwise_cfg`` stands outside of the parts.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError('paramwise_cfg must stand in the config of a part, such as '
                             'optim_wrapper.tokenizer.paramwise_cfg.')
        self.configs = {k: v for k, v in optim_wrapper_cfg.items() if k != 'type'}

    def __call__(self, model: nn.Module) -> JointOptimWrapperDict:
        """Build the wrappers.

        Args:
            model: The model, or the distributed wrapper around it.

        Raises:
            ValueError: If a name is not a part of the model.
        """
        model = getattr(model, 'module', model)
        parts = dict(model.named_children())
        unknown = sorted(self.configs.keys() - parts.keys())
        if unknown:
            raise ValueError(f'optim_wrapper names {unknown}, which {type(model).__name__} does '
                             f'not have. Its parts are {sorted(parts)}.')
        return JointOptimWrapperDict(**{
            name: _build_wrapper(config, parts[name]) for name, config in self.configs.items()
        })


def _build_wrapper(config: dict, part: nn.Module) -> OptimWrapper:
    config = copy.deepcopy(dict(config))
    paramwise = config.pop('paramwise_cfg', None)
    return DefaultOptimWrapperConstructor(config, paramwise)(part)


def _scaled(wrapper: OptimWrapper, loss: Tensor) -> Tensor:
    loss = wrapper.scale_loss(loss)
    scaler = getattr(wrapper, 'loss_scaler', None)
    return loss if scaler is None else scaler.scale(loss)
