"""Whole numbers, where Python would also take halves and truth values."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python, NumPy or PyTorch, and no truth value."""
    if isinstance(value, (bool, np.bool_)):
        return False
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def check_whole(**numbers: Any) -> None:
    """Raise ValueError unless every number is whole."""
    for name, number in numbers.items():
        if not is_whole(number):
            raise ValueError(f'{name} must be a whole number, got {number!r}.')


def check_positive(**numbers: int) -> None:
    """Raise ValueError unless every number is whole and at least 1."""
    check_whole(**numbers)
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f'{name} must be at least 1, got {number}.')
