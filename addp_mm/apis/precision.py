"""Where a model runs, and how precisely."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from mmengine.logging import MMLogger
from torch import nn

from ..models.layers import FrozenModule

DTYPES = ('float32', 'float64', 'bfloat16', 'float16')


def check_device(device: str | torch.device) -> torch.device:
    """The device, or ValueError if this machine does not have it."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f'The device {device} cannot be used: {reason}') from error
    found = torch.device(device)
    if found.type == 'meta' or found.type == 'cpu' and found.index:
        raise ValueError(f'The device {device} cannot be used: name cpu, cuda or cuda:1.')
    return found


def set_dtype(model: nn.Module, dtype: str, device: torch.device) -> torch.dtype | None:
    """Choose the precision of a model and of the tokenizer it holds.

    Args:
        model: Changed in place.
        dtype: One of :data:`DTYPES`.
        device: Where it will run. On a CPU bfloat16 stands in for float16.

    Returns:
        The dtype to run the model under autocast with; None for full precision.

    Raises:
        ValueError: If ``dtype`` is unknown.
    """
    if dtype not in DTYPES:
        raise ValueError(f'dtype must be one of {DTYPES}, got {dtype!r}.')
    wanted = getattr(torch, dtype)
    for module in model.modules():
        if isinstance(module, FrozenModule):
            module.dtype = torch.float32 if dtype == 'float64' else wanted
    if dtype == 'float64':
        model.double()
        model.data_preprocessor.tokenizer.load()
        model.data_preprocessor.tokenizer.description.double()
    if dtype == 'float16' and device.type == 'cpu':
        MMLogger.get_current_instance().warning(
            'float16 needs a GPU: bfloat16 is used instead, whose values are coarser.')
    if dtype in ('float32', 'float64'):
        return None
    return torch.bfloat16 if device.type == 'cpu' else wanted


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Full float32 in convolutions too, as in the reference release, inside a ``with``."""
    earlier = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = earlier
