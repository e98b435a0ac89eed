"""Checkpoint files that appear only when they are whole, and how to find the newest of them."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import torch
from mmengine.fileio import LocalBackend, register_backend

from ..atomic_write import atomic_write


class AtomicBackend(LocalBackend):
    """mmengine's backend for local files, which writes a file whole or not at all.

    A file is written under another name in the same folder, forced to the disk, and renamed.
    """

    _streamed: ClassVar[dict | None] = None

    def __init__(self) -> None:
        self._late: dict[str, int] | None = None

    @classmethod
    def stream_next(cls, checkpoint: dict) -> None:
        """Let the next :meth:`put` save a checkpoint in place of its bytes, and empty it.

        mmengine puts the file together in memory, twice: 10 GB for a ViT-L and its optimizer.
        This way it does so with an empty one.
        """
        cls._streamed = dict(checkpoint)
        checkpoint.clear()

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, whose folder is made.

        Raises:
            OSError: If that fails, for example on a full disk; an earlier file of this name is
                still there.
        """
        path = Path(filepath)
        checkpoint, AtomicBackend._streamed = AtomicBackend._streamed, None
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as partial, open(partial, 'wb') as file:
            if checkpoint is None:
                file.write(obj)
            else:
                torch.save(checkpoint, file)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = 'utf-8') -> None:
        """Write a text to a file, as :meth:`put`."""
        self.put(obj.encode(encoding), filepath)

    def remove(self, filepath: str | Path) -> None:
        """Remove a file, inside :meth:`late_removal` at its end."""
        if self._late is None:
            super().remove(filepath)
        else:
            self._late[str(filepath)] = os.stat(filepath).st_ino

    @contextlib.contextmanager
    def late_removal(self) -> Iterator[None]:
        """Put off removals to the end of the ``with``: what replaces the files is there by then.

        Nothing is removed if the block fails, nor a file that was written anew inside it.
        """
        self._late = {}
        try:
            yield
            for path, inode in self._late.items():
                with contextlib.suppress(FileNotFoundError):
                    if os.stat(path).st_ino == inode:
                        os.remove(path)
        finally:
            self._late = None


register_backend('addp_atomic', AtomicBackend, force=True)
