"""The checkpoints in the folder of a run, and which of them is the newest whole one."""
from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from .torch_file import has_checksums

POINTER = 'last_checkpoint'     # mmengine's name of the file that names the newest checkpoint


def is_whole(path: str | Path) -> bool:
    """Whether a file of ``torch.save`` is complete: every checksum in it is read and compared."""
    try:
        with zipfile.ZipFile(path) as archive:
            return not has_checksums(archive) or archive.testzip() is None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile):
        return False


def read_pointer(work_dir: str | Path) -> str:
    """Path that ``last_checkpoint`` in a work folder holds; '' if there is none."""
    try:
        return (Path(work_dir) / POINTER).read_text(encoding='utf-8').strip()
    except FileNotFoundError:
        return ''


def newest_first(work_dir: str | Path, out_dir: str | Path, template: str) -> Iterator[Path]:
    """Go through the checkpoints of a run, existing files only.

    First the one of the name that ``last_checkpoint`` holds, in the run's folders: a copied or
    moved run goes on from its own. Then the older ones. Newer ones than that are of another run.
    A file elsewhere is taken only if these folders hold none.

    Args:
        work_dir: Where ``last_checkpoint`` is.
        out_dir: Where the checkpoints are; they may also be in ``work_dir``.
        template: File name with ``{}`` for the epoch or iteration.
    """
    folders = list(dict.fromkeys([Path(out_dir), Path(work_dir)]))
    pointer = read_pointer(work_dir)
    named = [f / Path(pointer).name for f in folders] if pointer else []
    last = next((path for path in named if path.is_file()), None)
    limit = _step(Path(pointer).name, template)
    files = _matching(folders, template)
    if last is None and not files and pointer:
        named, files = [Path(pointer)], _matching([Path(pointer).parent], template)
        last = next((path for path in named if path.is_file()), None)
    if last is not None:
        yield last
    for step in sorted(files, reverse=True):
        if limit is None or step < limit:
            yield files[step]


def _matching(folders: Sequence[Path], template: str) -> dict[int, Path]:
    """The checkpoints of some folders by step; of two of one step that of the earlier folder."""
    files: dict[int, Path] = {}
    for folder in folders:
        for path in folder.glob(template.replace('{}', '*')):
            step = _step(path.name, template)
            if step is not None and path.is_file():
                files.setdefault(step, path)
    return files


def _step(name: str, template: str) -> int | None:
    found = re.fullmatch(re.escape(template).replace(re.escape('{}'), r'(\d+)'), name)
    return int(found.group(1)) if found else None
