"""Numbers and names of a training that make no sense, where the libraries would take them."""
from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

from ..unknown_names import check_names
from .machine import optim_wrappers

_LIMITS = dict(norm='max_norm', value='clip_value')
_CLIPPING = ('type', 'max_norm', 'norm_type', 'error_if_nonfinite', 'foreach', 'clip_value')


def check_numbers(cfg: Config) -> list[str]:
    """See that a training has a length, a rate, a limit of gradients and names of checkpoints.

    Returns:
        What may be right but surprises, a sentence each.

    Raises:
        ValueError: If one of them cannot be right.
    """
    if not cfg.get('train_cfg'):
        return []
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        _check_count(f'train_cfg.{name}', cfg.train_cfg.get(name, 1))
    warnings: list[str] = []
    for wrapper in optim_wrappers(cfg):
        _check_clipping(wrapper.get('clip_grad') or {})
        warnings += _look_at_rate(wrapper.get('optimizer') or {})
    return [*warnings, *_look_at_checkpoints(cfg)]


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f'{name} must be a whole number above 0, got {value!r}.')


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
