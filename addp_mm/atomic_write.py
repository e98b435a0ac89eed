"""Files that appear under their name only when they are whole."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


def partial_path(path: Path) -> Path:
    """Where a file is while it is written: in its folder, under a hidden name of this process."""
    return path.with_name(f'.{path.name}.{os.getpid()}.partial')


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file whole or not at all.

    Args:
        path: The file, in an existing folder; an earlier one stays if the ``with`` block fails.

    Yields:
        Where the block is to write; renamed to ``path`` at its end.
    """
    partial = partial_path(path)
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Write bytes to a file in an existing folder, whole or not at all."""
    with atomic_write(path) as partial:
        partial.write_bytes(content)
