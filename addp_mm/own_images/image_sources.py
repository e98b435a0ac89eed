"""Where a user's images are: in a folder, an archive, or named in a list."""
from __future__ import annotations

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from ..datasets.image_reader import (
    EXTENSIONS,
    UNREAD_EXTENSIONS,
    first_line,
    images_below,
    shown_name,
)
from ..datasets.text_lists import read_lines
from ..name_lists import listed
from .trainings import TITLES

ENDINGS = (*EXTENSIONS, *UNREAD_EXTENSIONS)
_ARCHIVES = ('.zip', '.tar', '.tgz', '.tar.gz', '.tar.bz2', '.tar.xz')
_OTHER_ARCHIVES = ('.7z', '.rar', '.gz', '.bz2', '.xz', '.zst', '.lz4', '.iso')
# What the command writes into its folder, apart from its folder of configs.
FOUND = 'found.json'     # the files that were found, for later calls
LISTS = ('train', 'val', 'held_out')
_WRITTEN = (*(f'{name}.txt' for name in LISTS), 'report.md', FOUND, 'images', 'pictures',
            *TITLES)
UNPACKED = 'unpacked'
_RECORDS = ('.train_from_folder', 'images.json', 'choices.json')    # the first is written first
_UNPACKED_FROM = '.unpacked_from'   # in an unpacked archive: which one; empty until it is whole
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError,
           NotImplementedError, RuntimeError, OSError)


def files_of(source: Path, out: Path) -> list[Path]:
    """The files of a folder, an archive or a list that may be images.

    Args:
        source: A folder; an archive, which is unpacked once; or a text file with one path a line,
            relative to its folder.
        out: Where an archive is unpacked. If it lies inside of ``source``, it is not searched.

    Raises:
        FileNotFoundError: If there is no ``source``.
        ValueError: If it is of another kind, or an archive cannot be unpacked.
    """
    if not source.exists():
        raise FileNotFoundError(
            f'Expected a folder of images, an archive or a list at {shown_name(source)} (from the '
            f'working folder {os.getcwd()}), there is none.')
    if source.is_file():
        if not is_archive(source):
            return _read_list(source)
        source = _unpack(source, out / UNPACKED)
    return images_below(source, ENDINGS, leave_out=out)


def archive_has_changed(source: Path, out: Path) -> bool:
    """Whether an archive is another one than that which was unpacked to ``out``."""
    marker = out / UNPACKED / _UNPACKED_FROM
    return marker.is_file() and marker.read_text(encoding='utf-8') != _state_of(source)


def claim(source: Path, out: Path) -> None:
    """See that nothing of the user gets replaced or mixed with what is made, and mark ``out``.

    Raises:
        ValueError: If something would: ``out`` has images or files of others.
    """
    inner, outer = (Path(os.path.realpath(path)) for path in (source, out))
    if inner == outer or outer / 'images' in (inner, *inner.parents):
        raise ValueError(f'{shown_name(out)} holds the images themselves, to which copies would be '
                         'added: give another --out.')
    if (out / 'images.json').is_file():
        return      # nothing is prepared again
    if inner in [outer / f'{name}.txt' for name in LISTS]:
        raise ValueError(f'{shown_name(source)} has the name of a list that is written to '
                         f'{shown_name(out)} and would be replaced: rename it, or give another '
                         '--out.')
    foreign = [name for name in _WRITTEN if os.path.lexists(out / name)]
    if foreign and not any((out / name).is_file() for name in _RECORDS):
        raise ValueError(f'{shown_name(out)} has files that this command did not write and would '
                         f'replace or add to: {listed(foreign)}. Give another --out, or rename '
                         'them.')
    out.mkdir(parents=True, exist_ok=True)
    (out / _RECORDS[0]).touch()


def is_archive(source: Path) -> bool:
    """Whether a file is an archive that can be unpacked.

    Raises:
        ValueError: If it is an archive of another kind.
    """
    name = source.name.lower()
    if name.endswith(_ARCHIVES):
        return True
    if name.endswith(_OTHER_ARCHIVES) and not _is_tar(source):
        raise ValueError(f'{shown_name(source)} is a kind of archive that is not read (expected '
                         f'{", ".join(_ARCHIVES)}): unpack it and name the folder.')
    return not name.endswith(ENDINGS) and (
        zipfile.is_zipfile(source) or _is_tar(source))


def _is_tar(source: Path) -> bool:
    try:
        return tarfile.is_tarfile(source)
    except (EOFError, OSError, zlib.error, lzma.LZMAError):     # of a broken compression
        return False


def _read_list(source: Path) -> list[Path]:
    if source.name.lower().endswith(ENDINGS):
        raise ValueError(f'{shown_name(source)} is a single image, expected a folder of images, an '
                         'archive or a list: name the folder it is in.')
    lines = read_lines(source, 'a folder of images, an archive '
                               f'({", ".join(_ARCHIVES)}) or a list with one path a line')
    paths = [source.parent / line for line in lines]
    if paths and not any(path.is_file() for path in paths):
        raise ValueError(f'{shown_name(source)} has {len(paths)} lines, none of which is the path '
                         f'of a file, the first {shown_name(paths[0])}: expected one path a line, '
                         'relative to the folder of the list.')
    return paths


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack once; nothing lands outside of ``folder``."""
    marker, made_of = folder / _UNPACKED_FROM, _state_of(archive)
    if marker.is_file() and marker.read_text(encoding='utf-8') == made_of:
        return folder
    if os.path.lexists(folder):
        if not marker.is_file():
            raise ValueError(f'{shown_name(folder)}, where {shown_name(archive)} would be '
                             'unpacked, has files of others: rename it, or give another --out.')
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    marker.touch()
    try:
        if zipfile.is_zipfile(archive) or archive.name.lower().endswith('.zip'):
            with zipfile.ZipFile(archive) as file:
                file.extractall(folder)
        else:
            with tarfile.open(archive) as file:
                file.extractall(folder, filter='data')
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise       # the disk, not the archive
        raise ValueError(_why_unpackable(archive, error)) from error
    marker.write_text(made_of, encoding='utf-8')
    return folder


def _state_of(archive: Path) -> str:
    status = archive.stat()
    return f'{shown_name(archive.absolute())} {status.st_size} {status.st_mtime_ns}'


def _why_unpackable(archive: Path, error: Exception) -> str:
    if 'encrypted' in str(error):
        return (f'{shown_name(archive)} is encrypted: unpack it with its password and name the '
                'folder.')
    return (f'{shown_name(archive)} is no whole archive: {first_line(error)}. Copy it again, or '
            'unpack it by hand and name the folder.')
