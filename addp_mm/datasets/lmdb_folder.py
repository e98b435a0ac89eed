"""A folder of images as one LMDB database: ``lmdb://data/train.lmdb/n01440764/1.JPEG``.

A key is the name of a file below the folder, its value the file as it is. File systems of clusters
are slow with millions of small files, a database is one large file to them.
"""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from mmengine.fileio import BaseStorageBackend, register_backend

SCHEME, ENDING = 'lmdb://', '.lmdb'
LONGEST_NAME = 511              # bytes of a key of LMDB
_LARGEST = 1 << 44              # bytes of address space for a database that is written
_AFTER_SLASH = b'0'             # the character that follows '/'
_BATCH = 1000                   # files that are written, or lost, together


@register_backend('addp_lmdb', prefixes='lmdb', force=True)
class LmdbFolder(BaseStorageBackend):
    """mmengine's storage of what :func:`pack` wrote. It lists like a folder, in the same order.

    mmengine's own ``LmdbBackend`` lists nothing and takes ASCII names only. A database stays open
    while it is read, but for a fork, which LMDB allows to no open one: each process opens its own.
    """

    _opened: ClassVar[dict[str, Any]] = {}

    def get(self, filepath: str) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: If there is no such database, or no such file in it.
        """
        database, name = _split(filepath)
        with self._open(database).begin() as transaction:
            value = transaction.get(os.fsencode(name)) if name else None
        if value is None:
            raise FileNotFoundError(f'{database} has no file {name!r}.')
        return value

    def get_text(self, filepath: str, encoding: str = 'utf-8') -> str:
        """The content of a file as text."""
        return self.get(filepath).decode(encoding)

    def join_path(self, first: str, *others: str) -> str:
        """Join the parts of a path."""
        return '/'.join([first.rstrip('/'), *(part for part in others if part)])

    def isfile(self, filepath: str) -> bool:
        """Whether there is such a file."""
        database, name = _split(filepath)
        if not name or not _exists(database):
            return False
        with self._open(database).begin() as transaction:
            return transaction.cursor().set_key(os.fsencode(name))

    def isdir(self, filepath: str) -> bool:
        """Whether there is such a database, and a file below this folder of it."""
        database, folder = _split(filepath)
        return _exists(database) and (not folder or any(self.list_dir_or_file(filepath)))

    def list_dir_or_file(self, dir_path: str, list_dir: bool = True, list_file: bool = True,
                         suffix: str | None = None, recursive: bool = False) -> Iterator[str]:
        """Names of the folders and files right below a folder.

        Raises:
            NotImplementedError: For ``suffix`` and ``recursive``, see :func:`files_below`.
        """
        if suffix is not None or recursive:
            raise NotImplementedError('LmdbFolder lists one folder at a time, without a suffix.')
        database, folder = _split(dir_path)
        prefix = os.fsencode(f'{folder}/' if folder else '')
        with self._open(database).begin() as transaction, transaction.cursor() as cursor:
            found = cursor.set_range(prefix)
            while found and (key := cursor.key()).startswith(prefix):
                name, slash, _ = key[len(prefix):].partition(b'/')
                if list_dir if slash else list_file:
                    yield os.fsdecode(name)
                found = cursor.set_range(prefix + name + _AFTER_SLASH) if slash else cursor.next()

    def _open(self, database: str) -> Any:
        if database not in self._opened:
            if not _exists(database):
                raise FileNotFoundError(f'There is no database {database}: make one with '
                                        'pack_images.py FOLDER FILE.lmdb.')
            self._opened[database] = _lmdb().open(
                database, subdir=False, readonly=True, lock=False, readahead=False)
        return self._opened[database]

    @classmethod
    def close(cls) -> None:
        """Close what is open; it is opened again when it is read."""
        while cls._opened:
            cls._opened.popitem()[1].close()


os.register_at_fork(before=LmdbFolder.close)


def pack(folder: str | Path, names: Iterable[str], path: Path) -> Iterator[int]:
    """Write files into a database. What it has already from an earlier call is not read again.

    Args:
        folder: Where the files are.
        names: Their names below the folder, with ``/``.
        path: The database. It is whole when the iterator is exhausted.

    Yields:
        How many files are in it, after each one.

    Raises:
        ValueError: If a name has more than 511 bytes, or the database was begun with another
            folder, or with a file that has been replaced since.
        OSError: If a file cannot be read, or the disk is full.
    """
    lmdb, names, done = _lmdb(), iter(names), 0
    _begin(folder, path)
    try:
        with lmdb.open(str(path), subdir=False, map_size=_LARGEST) as database:
            while batch := list(islice(names, _BATCH)):
                with database.begin(write=True) as transaction:
                    for name in batch:
                        _put(transaction, Path(folder, name), name, path)
                        done += 1
                        yield done
    except lmdb.Error as error:
        raise OSError(f'{path} cannot be written: {error}. Make room there, then run the same '
                      'command again.') from error


def source_note(path: Path) -> Path:
    """The file beside a database that says from which folder it is being written."""
    return path.with_name(f'{path.name}-source')


def _begin(folder: str | Path, path: Path) -> None:
    """Note from which folder a database is written; one that was begun must be of the same."""
    note, real = source_note(path), os.fsencode(os.path.realpath(folder))
    if path.exists() and not (note.is_file() and note.read_bytes() == real):
        earlier = os.fsdecode(note.read_bytes()) if note.is_file() else 'an unknown folder'
        raise ValueError(f'{path} was begun with {earlier}, now {os.fsdecode(real)}: remove it, '
                         'and run the same command again.')
    if not path.exists():
        note.write_bytes(real)


def _put(transaction: Any, file: Path, name: str, path: Path) -> None:
    key = os.fsencode(name)
    if len(key) > LONGEST_NAME:
        raise ValueError(f'{name} is a name of {len(key)} bytes, LMDB takes at most '
                         f'{LONGEST_NAME}: shorten the names of its folders.')
    cursor = transaction.cursor()
    if not cursor.set_key(key):
        transaction.put(key, file.read_bytes())
    elif not _has_content(file, cursor.value(), since=source_note(path).stat().st_mtime):
        raise ValueError(f'{file} was replaced after it had been written: remove {path}, and run '
                         'the same command again.')


def _has_content(file: Path, content: bytes, since: float) -> bool:
    """Whether a file has this content; it is read only if it was changed since a time.

    A file may be replaced by one of an older date (``cp -p``), which only its ctime tells.
    """
    status = file.stat()
    return status.st_size == len(content) and (
        max(status.st_mtime, status.st_ctime) < since or file.read_bytes() == content)


def count(path: Path) -> int:
    """Number of files in a database."""
    with _lmdb().open(str(path), subdir=False, readonly=True, lock=False) as database:
        return database.stat()['entries']


def _exists(database: str) -> bool:
    return os.path.isfile(database)


def _split(path: str) -> tuple[str, str]:
    """The file of the database, and the name in it.

    Raises:
        ValueError: If no part of the path ends in ``.lmdb``.
    """
    parts = path.removeprefix(SCHEME).split('/')
    for number, part in enumerate(parts, start=1):
        if part.endswith(ENDING):
            return '/'.join(parts[:number]), '/'.join(parts[number:]).strip('/')
    raise ValueError(f'Expected {SCHEME}FILE{ENDING}, and what is wanted of it behind, got {path}.')


def _lmdb() -> ModuleType:
    try:
        import lmdb
    except ImportError as error:
        raise ModuleNotFoundError('Images in a database need lmdb: pip install "lmdb>=1.4"'
                                  ) from error
    return lmdb
