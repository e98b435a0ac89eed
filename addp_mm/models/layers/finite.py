"""Numbers that are not finite stop what computes with them, without a wait for a GPU."""
from __future__ import annotations

import torch
from torch import Tensor


def require_finite(numbers: Tensor, message: str) -> None:
    """See that all numbers are finite.

    Args:
        numbers: Of any shape.
        message: What is wrong if they are not, and how to mend it.

    Raises:
        FloatingPointError: If one is not; on a GPU it is a failed assertion of the device, for
            which the host need not wait.
    """
    is_finite = numbers.isfinite().all()
    if numbers.is_cuda:
        torch._assert_async(is_finite, message)
    elif not is_finite:
        raise FloatingPointError(message)
