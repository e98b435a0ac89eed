"""Folders are locked all or not at all."""
from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from addp_mm.engine.folder_locks import LOCK, FolderLocks


def test_all_folders_or_none_are_locked(tmp_path: Path) -> None:
    first, second, locks = tmp_path / 'a', tmp_path / 'b/c', FolderLocks()
    second.mkdir(parents=True)
    with FileLock(second / LOCK):                               # as another process has it
        assert locks.acquire([first, second]) == str(second)
        with FileLock(first / LOCK, timeout=0):
            pass
    assert locks.acquire([first, second]) is None and (first / LOCK).is_file()
    locks.release()
    with FileLock(first / LOCK, timeout=0), FileLock(second / LOCK, timeout=0):
        pass
