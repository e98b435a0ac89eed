"""Folders that one training at a time may use."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from filelock import FileLock, Timeout
from mmengine.logging import MMLogger

LOCK = '.run.lock'


class FolderLocks:
    """The locks of a process on folders; the system gives them free when it ends."""

    def __init__(self) -> None:
        self._locks: list[FileLock] = []

    def acquire(self, folders: Iterable[Path]) -> str | None:
        """Lock folders, which are made where they are missing.

        Returns:
            The folder that another process has locked; then this one has none. One that cannot be
            locked at all is warned of.
        """
        for folder in folders:
            lock = FileLock(folder / LOCK, timeout=0, is_singleton=True)
            try:
                folder.mkdir(parents=True, exist_ok=True)
                lock.acquire()
                self._locks.append(lock)
            except Timeout:
                self.release()
                return str(folder)
            except (OSError, NotImplementedError) as error:
                MMLogger.get_current_instance().warning(
                    f'{folder} cannot be locked ({error}): see to it that no other training uses '
                    'it.')
        return None

    def release(self) -> None:
        """Give all of them free."""
        for lock in self._locks:
            lock.release()
        self._locks = []
