"""Parts of a model that stay in float32 while the rest runs under autocast."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.utils import apply_to
from torch import Tensor, nn


def keep_full_precision(model: nn.Module, names: Sequence[str]) -> None:
    """Let calls of some parts of a model leave autocast, with their inputs in float32; once.

    Args:
        model: The model.
        names: Names of its parts, such as 'rpn_head' or 'roi_head.bbox_head'.

    Raises:
        ValueError: If the model has no such part.
    """
    parts = dict(model.named_modules())
    missing = [name for name in names if name not in parts]
    if missing:
        raise ValueError(f'optim_wrapper.full_precision names {missing}, which the '
                         f'{type(model).__name__} does not have.')
    for name in names:
        if not hasattr(parts[name], '_outside_autocast'):
            parts[name]._outside_autocast = []
            parts[name].register_forward_pre_hook(_leave_autocast, with_kwargs=True)
            parts[name].register_forward_hook(_enter_again, always_call=True)


def _leave_autocast(part: nn.Module, args: tuple, kwargs: dict) -> tuple[Any, Any] | None:
    kind = next((p.device.type for p in part.parameters()), _device_of(args))
    context = torch.autocast(kind, enabled=False)
    context.__enter__()
    part._outside_autocast.append(context)
    return tuple(map(_as_float32, args)), _as_float32(kwargs)


def _enter_again(part: nn.Module, *_: Any) -> None:
    if part._outside_autocast:
        part._outside_autocast.pop().__exit__(None, None, None)


def _as_float32(data: Any) -> Any:
    return apply_to(data, _is_half, Tensor.float)


def _is_half(data: Any) -> bool:
    return isinstance(data, Tensor) and data.dtype in (torch.bfloat16, torch.float16)


def _device_of(args: tuple) -> str:
    first = args[0][0] if isinstance(args[0], (list, tuple)) else args[0]
    return first.device.type
