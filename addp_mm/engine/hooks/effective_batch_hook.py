"""How many images one step of the optimizer sees."""
from __future__ import annotations

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import FlexibleRunner, Runner

from ...registry import HOOKS


@HOOKS.register_module()
class EffectiveBatchHook(Hook):
    """Logs the effective batch at the start, and warns if it is not the recipe's.

    Args:
        expected: Images per optimizer step that the learning rate is made for. None: as
            ``auto_scale_lr.base_batch_size`` of the config says, or unknown.

    Raises:
        ValueError: If ``expected`` is not positive.
    """

    def __init__(self, expected: int | None = None) -> None:
        if expected is not None and expected < 1:
            raise ValueError(f'expected must be a positive number of images, got {expected}.')
        self.expected = expected

    def before_train(self, runner: Runner) -> None:
        """Write the line, and the warning if there is need."""
        per_process = _images_per_process(runner)
        if per_process is None:     # the stand-in of mmpretrain's vis_scheduler
            return
        for name, wrapper in _named_wrappers(runner.optim_wrapper):
            count = wrapper._accumulative_counts
            runner.logger.info(
                f'Effective batch{name}: {per_process} images x {runner.world_size} processes x '
                f'{count} accumulated = {per_process * runner.world_size * count}, '
                f'peak learning rate {_peak_lr(wrapper):.1e}')
            expected = self.expected or _base_batch(runner)
            warning = expected and _warning(runner, expected, per_process * runner.world_size,
                                            count)
            if warning:
                runner.logger.warning(warning)


def _warning(runner: Runner, expected: int, per_iteration: int, count: int) -> str | None:
    is_flexible = isinstance(runner, FlexibleRunner)
    scaling = (runner._auto_scale_lr if is_flexible else runner.auto_scale_lr) or {}
    if scaling.get('enable', False):
        base = scaling['base_batch_size']
        return None if base * count == expected else (
            f'auto_scale_lr.base_batch_size = {base} leaves accumulation out, as mmengine '
            f'does: with accumulative_counts = {count} it must be {expected / count:g} '
            f'for a learning rate that is made for {expected} images.')
    if per_iteration * count == expected:
        return None
    remedy = 'pass --auto-scale-lr to adapt the learning rate'
    if expected % per_iteration == 0:
        remedy = ('set optim_wrapper.accumulative_counts='
                  f'{expected // per_iteration}, or {remedy}')
    return (f'The learning rate is made for an effective batch of {expected}, this run '
            f'has {per_iteration * count}: {remedy}.')


def _base_batch(runner: Runner) -> int | None:
    return (runner.cfg.get('auto_scale_lr') or {}).get('base_batch_size')


def _images_per_process(runner: Runner) -> int | None:
    loader = runner.train_dataloader
    return getattr(loader, 'batch_size', None) or getattr(
        getattr(loader, 'batch_sampler', None), 'batch_size', None)


def _named_wrappers(wrapper: OptimWrapper | OptimWrapperDict) -> Iterator[tuple[str, OptimWrapper]]:
    if isinstance(wrapper, OptimWrapperDict):
        yield from ((f' ({name})', part) for name, part in wrapper.items())
    else:
        yield '', wrapper


def _peak_lr(wrapper: OptimWrapper) -> float:
    """The rate before a warm-up took it down; schedulers keep it as ``initial_lr``."""
    return max(g.get('initial_lr', g['lr']) for g in wrapper.optimizer.param_groups)
