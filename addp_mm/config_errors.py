"""Which setting of a config stops a run, in one line: of a part that cannot be built, or not work.

The libraries raise errors of many kinds, deep inside of what a setting is passed on to. Here they
are told by what was being done: a registry built a part, or a step of a pipeline was at work.
"""
from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.registry import Registry

from .error_origin import is_on_purpose, message_of, places
from .unknown_names import nearest

_UNKNOWN = re.compile(r"(\w+)(?:\.__init__|\.__new__)?\(\) got an unexpected keyword argument "
                      r"'(\w+)'")
_NOT_REGISTERED = re.compile(r'(\S+) is not in the (?:(\w+)::)?([\w ]+) registry')
_LONGEST = 300      # letters of a library's message


@contextmanager
def errors_explained(cfg: Config, trouble: str | Callable[[Exception], str] = '') -> Iterator[None]:
    """While parts of a config are built and used: say which setting an error is about.

    Args:
        cfg: The config.
        trouble: What an error outside of its parts means: 'The runner cannot be built'; or a
            function that says so. Where it is empty these stay as they are, as do those of files
            and all that this package raises on purpose.

    Raises:
        ValueError: In the place of what a library raises.
    """
    try:
        yield
    except (ImportError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if is_on_purpose(error) or not (message := _message(cfg, error, trouble)):
            raise
        raise ValueError(message) from error


def each_setting(cfg: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """The dotted keys of a config and their values, of the dictionaries and lists too."""
    pairs = cfg.items() if isinstance(cfg, (Config, dict)) else (
        enumerate(cfg) if isinstance(cfg, (list, tuple)) else ())
    for key, value in pairs:
        path = f'{prefix}{key}'
        yield path, value
        yield from each_setting(value, f'{path}.')


def all_arguments(built: type) -> tuple[list[str], bool]:
    """Names of the arguments of a class and, as far as it takes any, of its parents.

    Returns:
        The names, and whether the class itself takes no others.
    """
    names: list[str] = []
    open_to_any: list[bool] = []
    for base in built.__mro__:
        if '__init__' in vars(base) and base is not object and all(open_to_any):
            parameters = inspect.signature(vars(base)['__init__']).parameters.values()
            names += [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD,
                                                                   p.VAR_POSITIONAL)]
            open_to_any.append(any(p.kind is p.VAR_KEYWORD for p in parameters))
    return [name for name in dict.fromkeys(names) if name != 'self'], not any(open_to_any)


def _message(cfg: Config, error: Exception, trouble: str | Callable[[Exception], str]) -> str:
    if isinstance(error, OSError):      # it names its file
        return _of_step(error)
    if known := _of_part(cfg, error) or _of_step(error):
        return known
    meaning = trouble if isinstance(trouble, str) else trouble(error)
    return meaning and f'{meaning}: {_said(error)}'


def _of_part(cfg: Config, error: Exception) -> str:
    """The message if a registry was building a part, else an empty one."""
    frames = _frames(error)
    unknown = _UNKNOWN.search(str(error)) if isinstance(error, TypeError) else None
    if unknown and (built := _class_that_refused(frames, unknown[1])):
        known, _ = all_arguments(built)
        return (f'{built.__name__} has no setting {unknown[2]!r}'
                f'{_in_brackets(_keys(cfg, unknown[2]))}{nearest(unknown[2], known)}')
    building = [frame for frame in frames if frame.f_code.co_name == 'build_from_cfg']
    if not building:
        return ''
    part, registry = (building[-1].f_locals.get(name) for name in ('cfg', 'registry'))
    kind = part.get('type') if isinstance(part, dict) else None
    if kind is None:
        return (f'A part of the config must be a dict with a type, got {_short(repr(part))}'
                f'{_in_brackets(_places_of(cfg, part))}.')
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', str(kind))
    where = _in_brackets([path for path, value in each_setting(cfg) if value == kind])
    if _NOT_REGISTERED.search(str(error)) and isinstance(registry, Registry):
        return f'There is no {registry.name} {name!r}{where}{nearest(name, _names(registry))}'
    return f'{name}{where} cannot be built: {_said(error)}'


def _of_step(error: Exception) -> str:
    """The message if a step of a pipeline was at work, else an empty one."""
    if 'in DataLoader worker process' in str(error):
        inside = [place for place in places(error) if place.function == 'transform']
        step = inside[-1] if inside else None
        return f'The pipeline of the data fails in {step}: {_said(error)}' if step else ''
    steps = [frame.f_locals['self'] for frame in _frames(error)
             if isinstance(frame.f_locals.get('self'), BaseTransform)]
    if not steps:
        return ''
    return f'The step {type(steps[-1]).__name__} of a pipeline fails: {_said(error)}'


def _said(error: Exception) -> str:
    """The kind of an error, its message, and where it was raised."""
    return (f'{type(error).__name__}: {_short(message_of(error)) or places(error)[-1].line} '
            f'({places(error)[-1]}).')


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f'{text[:_LONGEST]} ...'


def _frames(error: Exception) -> list[FrameType]:
    found, trace = [], error.__traceback__
    while trace is not None:
        found.append(trace.tb_frame)
        trace = trace.tb_next
    return found


def _class_that_refused(frames: list[FrameType], name: str) -> type | None:
    """The class that was being built when one of this name refused an argument."""
    for frame in reversed(frames):
        built = frame.f_locals.get('obj_cls')
        if inspect.isclass(built) and any(base.__name__ == name for base in built.__mro__):
            return built
    return next((value for frame in reversed(frames[-2:])
                 if inspect.isclass(value := frame.f_globals.get(name))), None)


def _keys(cfg: Config, name: str) -> list[str]:
    return [path for path, _ in each_setting(cfg) if path.rpartition('.')[2] == name]


def _places_of(cfg: Config, part: Any) -> list[str]:
    return [path for path, value in each_setting(cfg) if value == part and value is not None]


def _in_brackets(paths: Collection[str]) -> str:
    """The first of some keys, that a message names in passing."""
    return f' ({next(iter(paths))})' if paths else ''


def _names(registry: Registry) -> set[str]:
    """All names that a registry finds, without those of other libraries."""
    found = set(registry.module_dict)
    while registry.parent is not None:
        registry = registry.parent
        found |= set(registry.module_dict)
    return found
