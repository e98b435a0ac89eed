"""Few parameter groups instead of one for each parameter."""
from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from mmengine.logging import MMLogger
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn

from ...registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor, with one parameter group for each distinct setting.

    mmengine makes a group of each parameter, which keeps the optimizer from fusing its updates,
    and logs each. This one logs one line for a group.

    With ``paramwise_cfg=dict(flat_decay_mult=0., bias_decay_mult=0., norm_decay_mult=0.)`` it has
    the rule of the reference release: no weight decay for parameters with one dimension and for
    those whose name ends in ``.bias``; all others decay, position tables, tokens and embeddings
    too.
    """

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer wrapper for the parameters of ``model``."""
        optim_wrapper = super().__call__(model)
        logger = MMLogger.get_current_instance()
        for group in optim_wrapper.optimizer.param_groups:
            size = sum(p.numel() for p in group['params'])
            logger.info(f'Parameter group: {len(group["params"])} parameters, {size / 1e6:.2f} M '
                        f'values, lr {group["lr"]:.2e}, weight decay '
                        f'{group.get("weight_decay", 0.):g}')
        return optim_wrapper

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '',
                   is_dcn_module: int | float | None = None) -> None:
        """Add the parameters of ``module`` to ``params``, as groups.

        Args:
            params: List of groups, changed in place.
            module: The module.
            prefix: Its name; '' for the whole model.
            is_dcn_module: See the parent class, which calls this method for the inner modules.
        """
        if prefix:
            super().add_params(params, module, prefix, is_dcn_module)
            return
        single: list[dict] = []
        with _without_info():
            super().add_params(single, module, prefix, is_dcn_module)
        groups: dict[str, dict] = {}
        for group in single:
            setting = {k: v for k, v in group.items() if k != 'params'}
            groups.setdefault(repr(sorted(setting.items())), {**setting, 'params': []})[
                'params'].extend(group['params'])
        params.extend(groups.values())


@contextlib.contextmanager
def _without_info() -> Iterator[None]:
    """Let through warnings only: the parent logs a line for every parameter."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
