"""A pickle read as data: nothing that it names is called.

Whatever a pickle names is first a :class:`Record` of that name and of what it would be called with.
What is known to be data (:mod:`.pickled_types`) is then made of its record; the rest is refused.
"""
from __future__ import annotations

import pickle
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any, BinaryIO

_PLAIN = frozenset((type(None), bool, int, float, str, bytes, bytearray))


class Record:
    """What a pickle holds in the place of an object that is no plain data.

    The names of Python's protocol of ``__reduce__`` are: the arguments, the state, the entries of a
    dict and the elements of a list or set. Each name in a pickle gets a class of its own.

    Attributes:
        path: The name, for example 'collections.OrderedDict'.
        args: Positional arguments.
        kwargs: Named arguments.
        state: What ``__setstate__`` would get; None if nothing.
        entries: Pairs (key, value).
        elements: Elements.
    """

    path = ''
    args: tuple
    kwargs: dict
    state: Any
    entries: list[tuple]
    elements: list

    def __new__(cls, *args: Any, **kwargs: Any) -> Record:
        """A record of the arguments."""
        self = object.__new__(cls)
        self.args, self.kwargs, self.state = args, kwargs, None
        self.entries, self.elements = [], []
        return self

    def __call__(self, *args: Any) -> Record:
        """What a call of the object would give: known to nobody, as is what is called."""
        of = ', '.join(str(getattr(arg, 'path', arg)) for arg in self.args)
        return type('Record', (Record, ), dict(path=f'{self.path}({of})'))(*args)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries.append((key, value))

    def append(self, value: Any) -> None:
        """Take an element of a list."""
        self.elements.append(value)

    add = append


class RecordUnpickler(pickle._Unpickler):
    """Python's unpickler, which makes a :class:`Record` of every name.

    Its parent is the one in Python, as in torch's own: the one in C takes memory for numbers that
    stand in the file.

    Args:
        file: Read from where it stands, to the end of the pickle.
        persistent_load: What torch's tensors refer to their storages with.
    """

    proto: int                                              # the parent reads it from the file

    def __init__(self, file: BinaryIO, persistent_load: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file, encoding='utf-8')
        self._persistent_load = persistent_load
        self._types: dict[str, type[Record]] = {}

    def persistent_load(self, pid: Any) -> Any:
        """What stands for a storage."""
        if self._persistent_load is None:
            raise UnpicklingError('a storage outside a file of torch')
        return self._persistent_load(pid)

    def find_class(self, module: str, name: str) -> type[Record]:
        """The class of the records of a name."""
        if self.proto < 3:                                  # the names of Python 2
            module, name = NAME_MAPPING.get((module, name),
                                            (IMPORT_MAPPING.get(module, module), name))
        path = f'{module}.{name}'
        if path not in self._types:
            self._types[path] = type('Record', (Record, ), dict(path=path))
        return self._types[path]


class Reviver:
    """Makes the real things of what a :class:`RecordUnpickler` has read, each of them once.

    Args:
        values: By name, what makes a value of a record and this reviver.
        containers: By name, what makes an empty container, which is filled afterwards, so that it
            may hold itself.
        references: What makes, or refuses with None, what is named but not called.
        storages: What makes the storage of its stand-in.
    """

    def __init__(self, values: dict[str, Callable], containers: dict[str, Callable],
                 references: Callable[[str], Any], storages: Callable[[Any], Any]) -> None:
        self._values = values
        self._containers = containers
        self._references = references
        self._storages = storages
        self._made: dict[int, tuple[Any, Any]] = {}
        self._open: set[int] = set()

    def __call__(self, value: Any) -> Any:
        """What ``value`` stands for.

        Raises:
            UnpicklingError: If it, or something in it, is not known to be data.
        """
        if type(value) in _PLAIN:
            return value
        if id(value) not in self._made:
            if id(value) in self._open:
                raise UnpicklingError('something that is made of itself')
            self._open.add(id(value))
            self._keep(value, self._make(value))
            self._open.discard(id(value))
        return self._made[id(value)][1]

    def _keep(self, value: Any, made: Any) -> Any:
        self._made[id(value)] = (value, made)               # with `value`, whose id stays its own
        return made

    def _make(self, value: Any) -> Any:
        if type(value) is dict:
            return self._fill(self._keep(value, {}), value.items(), ())
        if type(value) is list:
            return self._fill(self._keep(value, []), (), value)
        if type(value) in (tuple, set, frozenset):
            return type(value)(map(self, value))
        if isinstance(value, Record):
            return self._revive(value)
        if isinstance(value, type) and issubclass(value, Record):
            return self._refer(value.path)
        return self._storages(value)

    def _revive(self, record: Record) -> Any:
        if record.path in self._values:
            return self._values[record.path](record, self)
        if record.path not in self._containers or record.kwargs:
            raise UnpicklingError(f'GLOBAL {record.path}')
        made = self._keep(record, self._containers[record.path](*map(self, record.args)))
        if record.state is not None:
            vars(made).update(self(record.state))
        return self._fill(made, record.entries, record.elements)

    def _refer(self, path: str) -> Any:
        found = self._references(path)
        if found is None:
            raise UnpicklingError(f'GLOBAL {path}')
        return found

    def _fill(self, made: Any, entries: Any, elements: Any) -> Any:
        for key, value in entries:
            made[self(key)] = self(value)
        for element in elements:
            made.append(self(element))
        return made
