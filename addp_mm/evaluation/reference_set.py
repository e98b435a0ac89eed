"""The reference set of FID: real images, cropped as the reference protocol does, as PNG files."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import Image
from torchvision.transforms.functional import InterpolationMode, center_crop, resize

from ..atomic_write import atomic_write, remove_partial, write_json
from ..datasets.image_reader import (
    EXTENSIONS,
    UNREAD_EXTENSIONS,
    images_below,
    is_whole_png,
    read_pixels,
)
from ..result_folder import other_settings, read_json
from .image_set import ImageSet, open_image_set

RECORD = 'reference.json'


def prepare_reference(source: str | Path, out: str | Path, size: int = 256,
                      num_threads: int | None = None,
                      on_images: Callable[[int, int], None] | None = None) -> int:
    """Crop images and write them as PNG files (reference release, 50,000 of ImageNet's validation).

    The shorter side is resized to ``size``, by PIL's bilinear filter, and the middle square is
    taken. An image is written whole or not at all; what an earlier call has written is kept, unless
    it was cut off, or its original was replaced since, as the times tell. How the set was made
    stands in its ``reference.json``.

    Args:
        source: Folder of images, searched with its subfolders.
        out: Folder of the PNG files, new or of an interrupted call. A file is named after its path
            below ``source``.
        size: Height and width of the crops, at least 1.
        num_threads: How many images are worked on at once; None: one for each CPU core.
        on_images: Told, after each image, how many are done and how many there are.

    Returns:
        Number of images.

    Raises:
        FileNotFoundError: If ``source`` is no folder.
        ValueError: If there is no image, one is unreadable, or ``out`` holds other files.
    """
    if size < 1:
        raise ValueError(f'size must be at least 1, got {size}.')
    targets = _targets(Path(source), Path(out))
    record = dict(
        source=str(Path(source).resolve()), num_images=len(targets), size=size,
        resize='shorter side, bilinear (PIL)', crop='center', format='PNG',
        names_sha256=hashlib.sha256('\n'.join(sorted(map(str, targets))).encode()).hexdigest())
    _claim(Path(out), record)
    missing = [(path, target) for target, path in targets.items()
               if not _is_up_to_date(target, path)]
    done = len(targets) - len(missing)
    with ThreadPoolExecutor(num_threads or os.cpu_count()) as pool:
        try:
            for _ in pool.map(lambda paths: _write(paths[0], paths[1], size), missing):
                done += 1
                if on_images is not None:
                    on_images(done, len(targets))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    write_json(Path(out) / RECORD, dict(record, complete=True))
    return len(targets)


def read_reference_record(folder: str | Path) -> dict[str, Any] | None:
    """How a reference set was made; None if it was not made by :func:`prepare_reference`.

    Raises:
        ValueError: If the set is not complete.
    """
    path = Path(folder) / RECORD
    if not path.is_file():
        return None
    record = read_json(path)
    if not record.pop('complete', False):
        raise ValueError(f'The reference set {folder} is not complete. Run '
                         f'prepare_reference.py {record["source"]} {folder} again: it goes on.')
    return record


def open_reference(path: str | Path) -> ImageSet:
    """Open a reference set, see ``open_image_set``.

    Raises:
        ValueError: If it is lossy, or not complete.
    """
    read_reference_record(path)
    return open_image_set(path)


def _targets(source: Path, out: Path) -> dict[Path, Path]:
    """The file of each image, by the PNG file that is made of it."""
    if not source.is_dir():
        raise FileNotFoundError(f'Expected a folder of images at {source} (working folder '
                                f'{os.getcwd()}), there is none.')
    images = images_below(source, (*EXTENSIONS, *UNREAD_EXTENSIONS), leave_out=out)
    if not images:
        raise ValueError(f'Expected images in {source}, found none. Their names must end in '
                         f'{", ".join(EXTENSIONS)}.')
    targets: dict[Path, Path] = {}
    for image in images:
        name = '_'.join(image.relative_to(source).with_suffix('').parts)
        other = targets.setdefault(out / f'{name}.png', image)
        if other is not image:
            raise ValueError(f'{image} and {other} would both become {name}.png: rename one.')
    return targets


def _claim(out: Path, record: dict[str, Any]) -> None:
    """Write the record; refuse a folder of other files."""
    if changes := other_settings(out / RECORD, record):
        raise ValueError(f'{out} holds another reference set ({changes}): name another folder, or '
                         'remove that one.')
    if not (out / RECORD).is_file() and out.exists() and any(out.iterdir()):
        raise ValueError(f'{out} already holds other files: name an empty folder.')
    remove_partial(out)
    write_json(out / RECORD, dict(record, complete=False))


def _is_up_to_date(target: Path, path: Path) -> bool:
    """Whether an image is there, made of what its original is now.

    An original may be replaced by one of an older date (``cp -p``), which only its ctime tells.
    """
    if not is_whole_png(target):
        return False
    status = path.stat()
    return max(status.st_mtime_ns, status.st_ctime_ns) < target.stat().st_mtime_ns


def _write(path: Path, target: Path, size: int) -> None:
    try:
        pixels = Image.fromarray(read_pixels(path))
    except (OSError, ValueError) as error:
        raise ValueError(f'{path} is unreadable ({error}), and no image of a reference set may be '
                         'left out. Mend it, then run the same command again.') from error
    pixels = center_crop(resize(pixels, size, InterpolationMode.BILINEAR), size)
    with atomic_write(target, sync=False) as partial:
        pixels.save(partial, 'PNG')
