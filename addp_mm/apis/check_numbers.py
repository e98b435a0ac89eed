"""Numbers and names of a training that make no sense, where the libraries would take them."""
from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from ..unknown_names import check_names
from ..whole_numbers import is_whole
from .machine import optim_wrappers

_LIMITS = dict(norm='max_norm', value='clip_value')
_FALLING = re.compile('Cosine|Poly')        # kinds of schedules that are made for a whole training
_CLIPPING = ('type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value')


def check_numbers(cfg: Config) -> list[str]:
    """See that length, seed, rate, limit of gradients and names of checkpoints can be right.

    Returns:
        What may be right but surprises, a sentence each.

    Raises:
        ValueError: If one of them cannot be right.
    """
    if not cfg.get('train_cfg'):
        return []
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        _check_count(f'train_cfg.{name}', cfg.train_cfg.get(name, 1))
    seed = (cfg.get('randomness') or {}).get('seed')
    if seed is not None and not is_whole(seed):
        raise ValueError(f'randomness.seed must be a whole number, got {seed!r}.')
    warnings: list[str] = []
    for wrapper in optim_wrappers(cfg):
        _check_count('optim_wrapper.accumulative_counts', wrapper.get('accumulative_counts', 1))
        _check_clipping(wrapper.get('clip_grad') or {})
        warnings += _look_at_rate(wrapper.get('optimizer') or {})
    return [*warnings, *_look_at_validation(cfg), *_look_at_checkpoints(cfg),
            *_look_at_schedules(cfg)]


def _check_count(name: str, value: Any) -> None:
    if not is_whole(value) or value < 1:
        raise ValueError(f'{name} must be a whole number above 0, got {value!r}.')


def _length(cfg: Config) -> tuple[str, int]:
    """What a training counts, and how many of it."""
    loop = cfg.train_cfg
    return ('iterations', loop.max_iters) if 'max_iters' in loop else (
        'epochs', loop.get('max_epochs', 1))


def _look_at_validation(cfg: Config) -> Iterator[str]:
    begin, changes = cfg.train_cfg.get('val_begin', 1), cfg.train_cfg.get('dynamic_intervals')
    if not is_whole(begin):
        raise ValueError(f'train_cfg.val_begin must be a whole number, got {begin!r}.')
    if changes is not None and not (isinstance(changes, (list, tuple)) and all(
            isinstance(pair, (list, tuple)) and len(pair) == 2 and all(map(is_whole, pair))
            for pair in changes)):
        raise ValueError('train_cfg.dynamic_intervals must be a list of pairs of whole numbers, '
                         f'(begin, interval), got {changes!r}.')
    unit, length = _length(cfg)
    if cfg.get('val_dataloader') and begin > length:
        yield (f'train_cfg.val_begin is {begin}, the training has {length} {unit}: it is never '
               'validated.')


def look_at_other_schedules(cfg: Config, epoch_length: int) -> list[str]:
    """What :func:`check_numbers` cannot know: the end of schedules that do not count as the loop.

    Args:
        cfg: The config of a training.
        epoch_length: Iterations in an epoch.

    Returns:
        What may be right but surprises, a sentence each.
    """
    if not cfg.get('train_cfg'):
        return []
    unit, length = _length(cfg)
    counts_epochs = unit == 'epochs'
    ends = [(end * (1 if counts_epochs else epoch_length), kind)
            for end, kind in _ends(cfg, by_epoch=not counts_epochs)]
    return list(_look_at_end(ends, length * (epoch_length if counts_epochs else 1), 'iterations'))


def _look_at_schedules(cfg: Config) -> Iterator[str]:
    """A rate that stops to fall before the end, or never falls as far as it should."""
    unit, length = _length(cfg)
    yield from _look_at_end(_ends(cfg, by_epoch=unit == 'epochs'), length, unit)
    kinds = {str(schedule.get('type')) for schedule in _schedules(cfg) if unit == 'iterations'
             and _counts_epochs(schedule) and not schedule.get('convert_to_iter_based')}
    for kind in sorted(kinds):
        yield (f'The schedule {kind} counts epochs, the training iterations: the rate stays where '
               'it starts. Set its by_epoch=False, and begin and end in iterations.')


def _look_at_end(ends: list[tuple[float, str]], length: int, unit: str) -> Iterator[str]:
    end, kind = max(ends, default=(math.inf, ''))
    if end not in (length, math.inf) and _FALLING.search(kind):
        yield (f'The schedule {kind} ends at {end}, the training at {length} {unit}: set '
               'both alike, unless the rate is to stay at its last value, or not to reach it.')


def _ends(cfg: Config, by_epoch: bool) -> list[tuple[float, str]]:
    """End and type of the schedules that count epochs, or of those that count iterations."""
    return [(schedule.get('end', math.inf), str(schedule.get('type')))
            for schedule in _schedules(cfg) if _counts_epochs(schedule) == by_epoch
            and isinstance(schedule.get('end', math.inf), (int, float))]


def _counts_epochs(schedule: Mapping[str, Any]) -> bool:
    return bool(schedule.get('by_epoch', True))


def _schedules(cfg: Config) -> list[Mapping[str, Any]]:
    schedules = cfg.get('param_scheduler') or []
    if isinstance(schedules, dict):
        schedules = [schedules] if 'type' in schedules else [
            schedule for part in schedules.values()
            for schedule in (part if isinstance(part, list) else [part])]
    return [schedule for schedule in schedules if isinstance(schedule, dict)]


def _look_at_rate(optimizer: Mapping[str, Any]) -> Iterator[str]:
    rate = optimizer.get('lr')
    if rate is None:
        return
    if not isinstance(rate, (int, float)) or not math.isfinite(rate) or rate < 0:
        raise ValueError(f'optim_wrapper.optimizer.lr must be a positive number, got {rate!r}.')
    if rate == 0:
        yield 'optim_wrapper.optimizer.lr is 0: nothing is learned.'


def _look_at_checkpoints(cfg: Config) -> Iterator[str]:
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    template = hook.get('filename_tmpl')
    if template is not None and '{}' not in template:
        raise ValueError('default_hooks.checkpoint.filename_tmpl must hold {}, where the number of '
                         f'the epoch or iteration goes, got {template!r}: each checkpoint would '
                         'replace the one before it.')
    interval, most = hook.get('interval', -1), hook.get('max_keep_ckpts', -1)
    if not is_whole(interval):
        raise ValueError('default_hooks.checkpoint.interval must be a whole number, got '
                         f'{interval!r}.')
    if not is_whole(most) or most == 0:
        raise ValueError('default_hooks.checkpoint.max_keep_ckpts must be a whole number above 0, '
                         f'or -1, which keeps all, got {most!r}.')
    by_epoch = hook.get('by_epoch', True)
    if interval > 0 and by_epoch and _length(cfg)[0] == 'iterations':
        yield ('No checkpoint is written before the end: the training counts iterations, and '
               'default_hooks.checkpoint epochs. Set its by_epoch=False and an interval in '
               'iterations.')
    for counts in {wrapper.get('accumulative_counts', 1) for wrapper in optim_wrappers(cfg)}:
        if interval > 0 and not by_epoch and interval % counts:
            yield (f'default_hooks.checkpoint.interval is {interval}, no multiple of '
                   f'optim_wrapper.accumulative_counts, {counts}: a run that goes on from a '
                   'checkpoint between two steps loses the gradients gathered so far.')
    if hook.get('interval') in (0, -1):
        yield ('No checkpoint is written (default_hooks.checkpoint.interval): the run cannot go on '
               'after a stop.')


def _check_clipping(clip_grad: Mapping[str, Any]) -> None:
    check_names('optim_wrapper.clip_grad', clip_grad, _CLIPPING)
    name = _LIMITS.get(clip_grad.get('type', 'norm'), '')
    limit = clip_grad.get(name, 1)
    if not isinstance(limit, (int, float)) or math.isnan(limit) or limit <= 0:
        raise ValueError(f'optim_wrapper.clip_grad.{name} must be a positive number, got {limit}: '
                         'gradients would vanish or turn round. None in the place of clip_grad '
                         'leaves them as they are.')
