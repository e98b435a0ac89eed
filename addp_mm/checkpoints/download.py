"""Released files on this machine: found or downloaded, and compared with their hash before use."""
from __future__ import annotations

import functools
import hashlib
import os
import re
from pathlib import Path

from filelock import FileLock

from ..atomic_write import write_whole
from .releases import Release

FOLDER_VARIABLE = 'ADDP_RELEASES'       # names the folder of released files
MIRROR_VARIABLE = 'ADDP_MIRROR'         # names an address that has them all, by their names
_SHA256 = re.compile(r'[0-9a-f]{64}')


def releases_folder() -> Path:
    """Where released files are kept: $ADDP_RELEASES, by default ``~/.cache/addp_mm/releases``."""
    cache = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    return Path(os.environ.get(FOLDER_VARIABLE) or Path(cache, 'addp_mm', 'releases'))


def fetch(release: Release) -> Path:
    """The file of a release: of the releases folder, of the hub's cache, or downloaded.

    A download that was cut off goes on where it stopped. Its progress is shown on stderr. The
    environment variables of huggingface_hub hold (``HF_ENDPOINT``, ``HF_HUB_OFFLINE``,
    ``HF_HUB_DISABLE_PROGRESS_BARS``).

    Returns:
        The file, whose SHA-256 is the one that is known: that of the table, of the hub, or of the
        first download, which stands beside the file in ``<file>.sha256``.

    Raises:
        ConnectionError: If there is no file and it cannot be downloaded; says where to put it.
        ValueError: If the hash is another one. A download is then removed.
    """
    path = releases_folder() / release.file
    if not path.is_file():
        cached = _in_hub_cache(release)
        if cached is not None:
            return _checked(cached, release.sha256 or _hash_in_name(cached.resolve()))
        _download(release, path)
    return _checked(path, release.sha256 or _recorded_hash(path))


@functools.lru_cache(maxsize=64)
def hash_of_version(path: str, *_version: int) -> str:
    """SHA-256 of a file, remembered as long as times and size of the file are the same."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a whole file as 64 hex digits; read again only when the file changed."""
    status = os.stat(path)
    return hash_of_version(os.path.abspath(path), status.st_size, status.st_mtime_ns,
                           status.st_ctime_ns)


def _checked(path: Path, expected: str | None) -> Path:
    found = file_hash(path)
    if expected not in (None, found):
        raise ValueError(f'{path} is not the released file: expected SHA-256 {expected}, got '
                         f'{found}. Remove it, so that it is downloaded again.')
    return path


def _in_hub_cache(release: Release) -> Path | None:
    from huggingface_hub import try_to_load_from_cache
    found = try_to_load_from_cache(release.hub, release.file) if release.hub else None
    return Path(found) if isinstance(found, str) else None


def _hash_in_name(blob: Path) -> str | None:
    """The hub's cache calls a large file by its hash."""
    return blob.name if _SHA256.fullmatch(blob.name) else None


def _hash_file(path: Path) -> Path:
    return path.with_name(f'{path.name}.sha256')


def _recorded_hash(path: Path) -> str | None:
    try:
        return _hash_file(path).read_text(encoding='utf-8').split()[0]
    except FileNotFoundError:
        return None


def _download(release: Release, path: Path) -> None:
    """Download to ``path``, by one process at a time, and record the hash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f'{path}.lock'):
        if path.is_file():          # another process was faster
            return
        partial = path.with_name(f'{path.name}.incomplete')
        try:
            url, expected = _source(release)
            _get(url, partial, release.file)
        except Exception as error:          # of whichever library huggingface_hub connects with
            if partial.is_file() and not partial.stat().st_size:
                partial.unlink()
            raise ConnectionError(
                f'{release.file} is not on this machine and could not be downloaded '
                f'({_cause(error)}). Run the same command again, with a connection, or take the '
                f'file from {_page(release)} and put it there: {path}') from error
        _check_download(partial, release.sha256 or expected)
        write_whole(_hash_file(path), f'{file_hash(partial)}  {path.name}\n'.encode())
        os.replace(partial, path)


def _source(release: Release) -> tuple[str, str | None]:
    """The address of a release, and the hash that the hub states."""
    from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
    if constants.HF_HUB_OFFLINE:
        raise ConnectionError('HF_HUB_OFFLINE is set')
    mirror = os.environ.get(MIRROR_VARIABLE, '').rstrip('/')
    if mirror:
        return f'{mirror}/{release.file}', None
    if not release.hub:
        return release.url, None
    url = hf_hub_url(release.hub, release.file)
    etag = get_hf_file_metadata(url).etag or ''
    return url, etag if _SHA256.fullmatch(etag) else None


def _get(url: str, partial: Path, name: str) -> None:
    """Download, from where ``partial`` ends."""
    from huggingface_hub.file_download import http_get
    with open(partial, 'ab') as file:
        try:
            http_get(url, file, resume_size=file.tell(), displayed_filename=name)
        except Exception as error:
            if getattr(getattr(error, 'response', None), 'status_code', None) != 416:
                raise
            # There is nothing behind the end of the partial file: it is whole.


def _check_download(partial: Path, expected: str | None) -> None:
    with open(partial, 'rb') as file:
        is_page = file.read(1) == b'<'
    found = file_hash(partial)
    if is_page or expected not in (None, found):
        partial.unlink()
        raise ValueError(
            'The download is a web page and was removed: open the address in a browser, which may '
            'ask something.' if is_page else f'The download is not the released file and was '
            f'removed: expected SHA-256 {expected}, got {found}. Run the same command again.')


def _page(release: Release) -> str:
    return f'https://huggingface.co/{release.hub}' if release.hub else release.url


def _cause(error: Exception) -> str:
    return ' '.join(str(error).split())[:200] or type(error).__name__
