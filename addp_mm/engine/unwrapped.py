"""The model inside of what spreads it over processes."""
from __future__ import annotations

from mmengine.model import is_model_wrapper
from torch import nn


def unwrapped(model: nn.Module) -> nn.Module:
    """The model of a wrapper such as ``MMDistributedDataParallel``; others as they are."""
    return model.module if is_model_wrapper(model) else model
