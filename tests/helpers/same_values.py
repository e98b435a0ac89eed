"""Comparison of values that two devices have computed."""
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    """The gradients by name, those that a step has left."""
    return {name: p.grad.detach().clone() for name, p in model.named_parameters()
            if p.grad is not None}


def assert_same_values(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor],
                       bound: float = 1e-3) -> None:
    """Compare by the length of the difference, relative to that of what is wanted.

    Args:
        found: Values by name, on any device.
        wanted: Values by name.
        bound: Largest relative difference. What is next to nothing among the values of a mapping,
            as the gradient of a key's bias, may differ by a hundredth of that of all together.
    """
    assert found.keys() == wanted.keys() and wanted
    whole = _length(torch.cat([_flat(value) for value in wanted.values()]))
    for name, value in wanted.items():
        assert found[name].shape == value.shape, name
        difference = _length(_flat(found[name]) - _flat(value))
        allowed = bound * max(_length(_flat(value)), whole / 100)
        assert difference <= allowed, f'{name}: {difference:.2e}, allowed {allowed:.2e}'


def _flat(value: Tensor) -> Tensor:
    return value.detach().cpu().double().flatten()


def _length(values: Tensor) -> float:
    return float(values.norm())
