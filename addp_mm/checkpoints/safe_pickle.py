"""What a pickle holds beside tensors, read as data and made anew instead of run."""
from __future__ import annotations

import re
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer


class _Record:
    """Stands in, while a pickle is read, for something that would do more than hold data."""

    def __init__(self, *args: Any) -> None:
        self.args = args
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _TypeRecord(_Record):
    """A ``numpy.dtype``, whose own ``__setstate__`` can be made to read foreign memory."""


class _ArrayRecord(_Record):
    """A ``numpy.ndarray``."""


class _ScalarRecord(_Record):
    """A numpy scalar."""


class _HistoryRecord(_Record):
    """A ``HistoryBuffer``, which pickles functions beside its numbers."""


class _AttributeRecord(_Record):
    """A ``getattr``, by which such functions are named."""


def _empty_bytes() -> bytes:
    """The data of an array without elements, which a pickle makes by calling ``bytes``."""
    return b''


def stand_ins() -> list[tuple[Callable, str]]:
    """What mmengine's runner saves beside tensors, and what is made of each instead."""
    numpy_core = ('numpy.core.multiarray', 'numpy._core.multiarray')    # numpy 1 and 2
    return [
        (_TypeRecord, 'numpy.dtype'),
        (_ArrayRecord, 'numpy.ndarray'),
        *((_ArrayRecord, f'{module}._reconstruct') for module in numpy_core),
        *((_ScalarRecord, f'{module}.scalar') for module in numpy_core),
        (_HistoryRecord, 'mmengine.logging.history_buffer.HistoryBuffer'),
        (_AttributeRecord, 'builtins.getattr'),
        (_empty_bytes, 'builtins.bytes'),
    ]


def revive(value: Any) -> Any:
    """Put the real thing in the place of every record; containers are changed in place."""
    if isinstance(value, dict):
        for key in value:
            value[key] = revive(value[key])
    elif isinstance(value, list):
        value[:] = map(revive, value)
    elif type(value) is tuple:
        return tuple(map(revive, value))
    elif isinstance(value, _Record):
        return _REVIVERS[type(value)](value)
    return value


def _revive_type(record: _TypeRecord) -> np.dtype:
    code, order = str(record.args[0]), record.state[1] if record.state else '='
    if not re.fullmatch(r'[biuf]\d{1,2}', code) or order not in ('<', '>', '|', '='):
        raise UnpicklingError(f'GLOBAL numpy.dtype({code}, {order})')
    return np.dtype(order + code)


def _revive_array(record: _ArrayRecord) -> np.ndarray:
    _, shape, dtype, fortran_order, data = record.state
    return np.frombuffer(data, _revive_type(dtype)).reshape(
        shape, order='F' if fortran_order else 'C').copy()


def _revive_scalar(record: _ScalarRecord) -> np.generic:
    dtype, data = record.args
    return np.frombuffer(data, _revive_type(dtype), count=1)[0]


def _revive_history(record: _HistoryRecord) -> HistoryBuffer:
    state = record.state
    return HistoryBuffer(revive(state['_log_history']), revive(state['_count_history']),
                         state['max_length'])


def _refuse(record: _Record) -> None:
    raise UnpicklingError(f'GLOBAL builtins.getattr{record.args}')
_REVIVERS = {
    _TypeRecord: _revive_type,
    _ArrayRecord: _revive_array,
    _ScalarRecord: _revive_scalar,
    _HistoryRecord: _revive_history,
    _AttributeRecord: _refuse,
}
