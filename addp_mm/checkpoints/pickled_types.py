"""What :mod:`.safe_pickle` knows to be data: numbers, dates, paths, containers and settings.

A type is added here with a function that checks what it makes: a size that stands in a file must
not take memory, and no name must be called that the file chooses.
"""
from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import fractions
import pathlib
import re
import types
import uuid
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, Literal

import mmengine.optim.scheduler.param_scheduler as mmengine_schedulers
import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer

from .safe_pickle import Record, Reviver

_BUILTINS = (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, object, range, set,
             slice, str, tuple)
_CONTAINERS = {
    'argparse.Namespace': argparse.Namespace,
    'collections.Counter': collections.Counter,
    'collections.OrderedDict': collections.OrderedDict,
    'collections.UserDict': collections.UserDict,
    'collections.UserList': collections.UserList,
    'collections.defaultdict': collections.defaultdict,
    'collections.deque': collections.deque,
    'mmengine.config.config.ConfigDict': ConfigDict,
    'types.SimpleNamespace': types.SimpleNamespace,
}
_NUMPY = ('numpy.core', 'numpy._core')                      # numpy 1 and 2
_TORCH_CONSTANTS = (torch.dtype, torch.layout, torch.memory_format, torch.qscheme)
# mmengine's OneCycle schedules save which of their own functions they use.
_SCHEDULERS = 'mmengine.optim.scheduler.param_scheduler.'
_ANNEALING = ('_annealing_cos', '_annealing_linear')


def containers() -> dict[str, Callable]:
    """What makes an empty container, by name."""
    return {path: _plain_arguments(kind) for path, kind in _CONTAINERS.items()}


def reference(path: str) -> Any:
    """What a name alone stands for: a type of data, a constant of torch; None if unknown."""
    module, _, name = path.rpartition('.')
    if path in _CONTAINERS:
        return _CONTAINERS[path]
    if module == 'builtins':
        constants = {kind.__name__: kind for kind in _BUILTINS} | {
            'Ellipsis': ..., 'NotImplemented': NotImplemented}
        return constants.get(name)
    if module == 'torch' and isinstance(getattr(torch, name, None), _TORCH_CONSTANTS):
        return getattr(torch, name)
    if module in ('numpy', 'numpy.dtypes'):
        found = getattr(np if module == 'numpy' else np.dtypes, name, None)
        is_data = isinstance(found, type) and issubclass(found, (np.generic, np.dtype))
        return found if is_data else None
    return _annealing(*path.removeprefix(_SCHEDULERS).rpartition('.')[::2]) if path.startswith(
        _SCHEDULERS) else None


def values() -> dict[str, Callable[[Record, Reviver], Any]]:
    """What makes a value of its record, by name."""
    dates = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta,
             datetime.timezone)
    paths = ('Path', 'PosixPath', 'WindowsPath', 'PurePosixPath', 'PureWindowsPath', 'PurePath')
    return {
        '_codecs.encode': _encoded,
        'builtins.bytearray': _bytes,
        'builtins.bytes': _bytes,
        'builtins.complex': _called(complex),
        'builtins.frozenset': _collected(frozenset),
        'builtins.getattr': _attribute,
        'builtins.range': _called(range),
        'builtins.set': _collected(set),
        'builtins.slice': _called(slice),
        **{f'datetime.{kind.__name__}': _called(kind) for kind in dates},
        'decimal.Decimal': _called(decimal.Decimal),
        'fractions.Fraction': _fraction,
        **{f'{module}.{name}': _path for module in ('pathlib', 'pathlib._local')
           for name in paths},
        'mmengine.config.config.Config': _config,
        'mmengine.logging.history_buffer.HistoryBuffer': _history,
        'numpy.dtype': dtype_of,
        **{f'{core}.multiarray._reconstruct': _array for core in _NUMPY},
        **{f'{core}.multiarray.scalar': _scalar for core in _NUMPY},
        **{f'{core}.numeric._frombuffer': _array_of_buffer for core in _NUMPY},
        'torch.Size': _called(torch.Size),
        'torch.device': _called(torch.device),
        'torch.serialization._get_layout': _layout,
        'torch.torch_version.TorchVersion': _called(torch.torch_version.TorchVersion),
        'uuid.UUID': _uuid,
    }


def _plain_arguments(kind: type) -> Callable:
    """A container made of what the file holds, never of a range that it only names."""

    def make(*args: Any) -> Any:
        if any(isinstance(arg, range) for arg in args):
            raise UnpicklingError(f'{kind.__name__} of a range')
        return kind(*args)

    return make


def _called(kind: Callable) -> Callable:
    return lambda record, revive: kind(*map(revive, record.args))


def _collected(kind: type) -> Callable:

    def make(record: Record, revive: Reviver) -> Any:
        return kind(revive(element) for part in record.args for element in _listed(part))

    return make


def _listed(part: Any) -> Any:
    if type(part) not in (list, tuple, set, frozenset):
        raise UnpicklingError('a set of something else than a list')
    return part


def _encoded(record: Record, _: Reviver) -> bytes:
    text, encoding = record.args
    if encoding not in ('latin1', 'latin-1'):
        raise UnpicklingError(f'GLOBAL _codecs.encode({encoding})')
    return text.encode('latin1')


def _bytes(record: Record, revive: Reviver) -> bytes | bytearray:
    args = tuple(map(revive, record.args))
    kind = bytes if record.path.endswith('bytes') else bytearray
    if args and not isinstance(args[0], (bytes, str)):      # a number would be a size
        raise UnpicklingError(f'GLOBAL {record.path}')
    return kind(*args)


def _fraction(record: Record, revive: Reviver) -> fractions.Fraction:
    if not all(re.fullmatch(r'-?\d+(/\d+)?', str(arg)) for arg in map(revive, record.args)):
        raise UnpicklingError('GLOBAL fractions.Fraction')
    return fractions.Fraction(*map(revive, record.args))


def _path(record: Record, _: Reviver) -> pathlib.PurePath:
    """A path of this system as one that can be opened, one of another as a text with parts."""
    foreign = 'Windows' if isinstance(pathlib.Path(), pathlib.PosixPath) else 'Posix'
    name = record.path.rpartition('.')[2]
    if name.startswith(foreign):
        name = f'Pure{name}'
    return getattr(pathlib, name)(*record.args)


def _uuid(record: Record, _: Reviver) -> uuid.UUID:
    return uuid.UUID(int=record.state['int'])


def _config(record: Record, revive: Reviver) -> Config:
    config = Config()
    config.__setstate__(revive(record.state))
    return config


def _history(record: Record, revive: Reviver) -> HistoryBuffer:
    """The numbers alone: it pickles functions beside them."""
    state = record.state
    return HistoryBuffer(revive(state['_log_history']), revive(state['_count_history']),
                         state['max_length'])


def _attribute(record: Record, _: Reviver) -> Callable:
    """A function of a class, as older protocols name it."""
    owner, name = record.args
    path = getattr(owner, 'path', '')
    found = _annealing(path.removeprefix(_SCHEDULERS), name) if path.startswith(
        _SCHEDULERS) else None
    if found is None:
        raise UnpicklingError(f'GLOBAL builtins.getattr({path}, {name})')
    return found


def _annealing(owner: str, name: str) -> Callable | None:
    scheduler = getattr(mmengine_schedulers, owner, None)
    return getattr(scheduler, name, None) if name in _ANNEALING else None


def _layout(record: Record, _: Reviver) -> torch.layout:
    name, = record.args
    found = getattr(torch, name.removeprefix('torch.'), None)
    if not isinstance(found, torch.layout):
        raise UnpicklingError(f'GLOBAL torch.{name}')
    return found


def dtype_of(record: Record, revive: Reviver) -> np.dtype:
    """A ``numpy.dtype``, made anew: its own ``__setstate__`` can be made to read foreign memory."""
    code = str(record.args[0])
    state: tuple = record.state or (3, '=', None, None, None, -1)
    _, order, inner, names, fields, size, *rest = state
    if not re.fullmatch(r'[biufcSUVMmO]\d{0,9}', code) or order not in ('<', '>', '|', '='):
        raise UnpicklingError(f'GLOBAL numpy.dtype({code}, {order})')
    if inner is not None:
        base, shape = inner
        return np.dtype((revive(base), revive(shape)))
    if names:
        parts = [revive(fields[name]) for name in names]
        return np.dtype(dict(names=list(names), formats=[part[0] for part in parts],
                             offsets=[part[1] for part in parts], itemsize=size))
    if code[0] in 'Mm':
        unit, number = revive(rest[-1])[1][:2] if len(rest) > 2 else (b'generic', 1)
        return np.dtype(order + code if unit == b'generic'
                        else f'{order}{code[0]}8[{number}{unit.decode()}]')
    if code in ('S', 'U', 'V') and size > 0:
        code += str(size // (4 if code == 'U' else 1))
    return np.dtype(order + code)


def _dtype(value: Any, revive: Reviver) -> np.dtype:
    dtype = revive(value)
    if not isinstance(dtype, np.dtype):
        raise UnpicklingError('a numpy array of no dtype')
    return dtype


def _array(record: Record, revive: Reviver) -> np.ndarray:
    if getattr(record.args[0], 'path', '') != 'numpy.ndarray':
        raise UnpicklingError(f'GLOBAL {getattr(record.args[0], "path", record.args[0])}')
    _, shape, dtype, fortran_order, data = record.state
    dtype = _dtype(dtype, revive)
    order: Literal['C', 'F'] = 'F' if fortran_order else 'C'
    if dtype.char != 'O':
        return _numbers(revive(data), dtype, shape, order)
    flat = np.empty(len(data), dtype=object)
    for i, value in enumerate(data):
        flat[i] = revive(value)
    return flat.reshape(shape, order=order)


def _array_of_buffer(record: Record, revive: Reviver) -> np.ndarray:
    """As protocol 5 writes it."""
    data, dtype, shape, order = record.args
    return _numbers(revive(data), _dtype(dtype, revive), shape, order)


def _numbers(data: bytes, dtype: np.dtype, shape: tuple[int, ...],
             order: Literal['C', 'F']) -> np.ndarray:
    if dtype.hasobject:
        raise UnpicklingError(f'GLOBAL numpy.dtype({dtype})')
    if 0 in shape:
        return np.zeros(shape, dtype, order)
    return np.frombuffer(data, dtype).reshape(shape, order=order).copy(order)


def _scalar(record: Record, revive: Reviver) -> Any:
    dtype, data = record.args
    dtype = _dtype(dtype, revive)
    if dtype.hasobject:
        raise UnpicklingError(f'GLOBAL numpy.dtype({dtype})')
    data = revive(data)
    if not dtype.itemsize:                                  # an empty text
        return dtype.type()
    return np.frombuffer(data, dtype, count=1).copy()[0]
