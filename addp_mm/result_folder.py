"""A folder of results that belong together, and that several processes may fill."""
from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .atomic_write import write_whole

SETTINGS = 'settings.json'


def claim_folder(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make a folder, or see that it holds results with the same settings.

    Args:
        folder: The folder; the settings are written to ``settings.json`` in it.
        settings: What the results depend on; values that JSON knows, others count as text.

    Raises:
        ValueError: If it holds results with other settings, or other files.
    """
    text = json.dumps(settings, indent=2, default=str)
    path = folder / SETTINGS
    if path.is_file():
        earlier, now = json.loads(path.read_text(encoding='utf-8')), json.loads(text)
        others = [name for name in now if earlier.get(name) != now[name]]
        if others:
            raise ValueError(f'{folder} holds results with other settings ({others} differ, '
                             f'see {path}): choose another --out.')
    folder.mkdir(parents=True, exist_ok=True)
    # Another process may write the settings at this moment.
    names = {entry.name for entry in folder.iterdir() if not entry.name.startswith('.')}
    if not path.is_file() and names - {SETTINGS}:
        raise ValueError(f'{folder} holds other files: choose another --out.')
    write_whole(path, f'{text}\n'.encode())


@contextlib.contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Give whether no other process holds the lock; then this one does while a ``with`` lasts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
