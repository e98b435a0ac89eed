"""A folder of results that are made once, by any number of processes, under the same settings."""
from __future__ import annotations

import contextlib
import json
import reprlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .atomic_write import write_json

SETTINGS = 'settings.json'
Record = dict[str, Any]
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = 80


class ResultFolder:
    """Results that belong together: each is made once, and other settings are refused.

    The settings stand in ``settings.json``, a result ``name`` in ``<name>.json``; a name may
    contain slashes. A result is there only when it is whole, so that the same call goes on where it
    was stopped, and several processes may make the results of one folder together.

    Args:
        path: The folder; made if it does not exist.
        settings: What all results depend on; values that JSON knows, others count as text. None:
            each result has its own ``inputs`` instead.

    Raises:
        ValueError: If the folder holds results with other settings, or other files.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any] | None = None) -> None:
        self.path = path = Path(path)
        if settings is None:
            return
        if trouble := other_settings(path / SETTINGS, settings):
            raise ValueError(f'{path} holds results with other settings ({trouble}; all of them '
                             f'are in {path / SETTINGS}): choose another --out.')
        # Another process may write the settings at this moment.
        names = {file.name for file in path.glob('*') if not file.name.startswith('.')}
        if not (path / SETTINGS).is_file() and names - {SETTINGS}:
            raise ValueError(f'{path} holds other files: choose another --out.')
        if not (path / SETTINGS).is_file():
            write_json(path / SETTINGS, settings)

    def make(self, name: str, function: Callable[[], Mapping[str, Any]],
             inputs: Mapping[str, Any] | None = None,
             noted: Mapping[str, Any] | None = None) -> Record | None:
        """Give a result, which is made if it is not there yet.

        Args:
            name: Its name.
            function: Makes it: values that JSON knows, by name.
            inputs: What this result depends on, beside the settings; kept with it.
            noted: The same, but a result that says nothing of it is taken: one of a version that
                did not note it.

        Returns:
            All of these and what ``function`` gave; None while another process makes it.

        Raises:
            ValueError: If it was made with other inputs.
        """
        path, inputs, noted = self.file(name), inputs or {}, noted or {}
        with try_lock(path.with_name(f'.{path.stem}.lock')) as is_ours:
            if is_ours and not path.is_file():
                write_json(path, {**inputs, **noted, **function()})
        if not path.is_file():
            return None
        record = read_json(path)
        known = {key: value for key, value in noted.items() if key in record}
        if trouble := other_settings(path, {**inputs, **known}):
            raise ValueError(f'{path} was made with other settings ({trouble}): choose another '
                             '--out.')
        return record

    def records(self, pattern: str = '*') -> list[Record]:
        """All results that are there and whose names match, in the order of the names."""
        return [read_json(path) for path in sorted(self.path.glob(f'{pattern}.json'))
                if path != self.path / SETTINGS]

    def file(self, name: str) -> Path:
        """The file of a result, be it there or not."""
        return self.path / f'{name}.json'


def other_settings(path: Path, settings: Mapping[str, Any]) -> str:
    """Compare settings to those in a JSON file.

    Args:
        path: The file; it need not exist, and may hold more.
        settings: Values that JSON knows, others count as text.

    Returns:
        What differs, as 'seed 0, now 1; size 32, now 64'; empty if nothing does.
    """
    if not path.is_file():
        return ''
    earlier, now = read_json(path), json.loads(json.dumps(settings, default=str))
    return '; '.join(text for name, value in now.items()
                     for text in _changes(name, earlier.get(name), value))


def read_json(path: Path, kind: type = dict) -> Any:
    """Read a JSON file that this package has written.

    Args:
        path: The file.
        kind: What it must hold: ``dict`` or ``list``; ``object`` takes everything.

    Raises:
        ValueError: If it is broken, or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path} is no whole JSON file ({error}): remove it, and it is made '
                         'again.') from error
    if not isinstance(content, kind):
        raise ValueError(f'Expected a {kind.__name__} in {path}, got a {type(content).__name__}: '
                         'it was changed, or is of another program. Remove it, and it is made '
                         'again.')
    return content


@contextlib.contextmanager
def try_lock(path: Path, descriptors: list[int] | None = None) -> Iterator[bool]:
    """Give whether no other process holds the lock; then this one does while a ``with`` lasts.

    Args:
        path: The file of the lock; its folder is made.
        descriptors: Gets the file descriptor of the lock. A child process that inherits it keeps
            the lock as long as it lives, also when this process is killed. That needs a file
            system with ``flock``; without ``descriptors``, others do too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0,
                    on_acquired=None if descriptors is None else descriptors.append)
    try:
        lock.acquire()
    except Timeout:
        is_ours = False
    else:
        is_ours = True
    try:
        yield is_ours
    finally:
        lock.release()


def _changes(name: str, earlier: Any, now: Any) -> Iterator[str]:
    if isinstance(earlier, dict) and isinstance(now, dict):
        for key in {**earlier, **now}:
            yield from _changes(f'{name}.{key}', earlier.get(key), now.get(key))
    elif earlier != now:
        yield f'{name} {_SHORT.repr(earlier)}, now {_SHORT.repr(now)}'
