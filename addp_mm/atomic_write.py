"""Files that appear under their name only when they are whole."""
from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def partial_path(path: Path) -> Path:
    """Where a file is while it is written: in its folder, under a hidden name of this process."""
    return path.with_name(f'.{path.name}.{os.getpid()}.partial')


@contextlib.contextmanager
def atomic_write(path: Path, sync: bool = True) -> Iterator[Path]:
    """Write a file whole or not at all.

    Args:
        path: The file, in an existing folder; an earlier one stays if the ``with`` block fails.
        sync: Force it to the disk before it gets its name, so that it is whole even after a power
            failure. That takes milliseconds: leave it out for many files that are made again
            easily.

    Yields:
        Where the block is to write; renamed to ``path`` at its end.

    Raises:
        OSError: If the file cannot be written, for example on a full disk: which one, why, and how
            much is free. What was there before stays.
    """
    partial = partial_path(path)
    try:
        yield partial
        if sync:
            _sync(partial, os.O_RDWR)
        os.replace(partial, path)
        if sync:
            with contextlib.suppress(OSError):      # some systems sync no folders
                _sync(path.parent, os.O_RDONLY)
    except (OSError, RuntimeError) as error:
        # After a failed write torch tries to close its archive, and fails with another error.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError) or cause.filename not in (None, partial, str(partial)):
            raise
        raise _explained(cause, path) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _explained(error: OSError, path: Path) -> OSError:
    existing = next(folder for folder in (path.parent, *path.parent.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 1e9
    return OSError(
        error.errno, f'Could not write {path}: {error.strerror}. {free:.3f} GB are free in '
        f'{existing}. What was there before is untouched: make room there (a training: or lower '
        'max_keep_ckpts), or write elsewhere; then run the same command again')


def remove_partial(folder: str | Path, min_age: float = 0) -> list[Path]:
    """Remove what killed runs left half written in a folder, and return it.

    Args:
        folder: The folder.
        min_age: Seconds since the last change; what is younger another process may be writing.
    """
    now = time.time()
    leftovers = [path for path in sorted(Path(folder).glob('.*.partial'))
                 if now - path.stat().st_mtime >= min_age]
    for path in leftovers:
        path.unlink(missing_ok=True)
    return leftovers


def write_whole(path: Path, content: bytes) -> None:
    """Write bytes to a file, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, whole or not at all; its folder is made.

    Args:
        path: The file.
        content: Values that JSON knows; others are written as their text.
    """
    write_whole(path, f'{json.dumps(content, indent=2, default=str)}\n'.encode())


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
