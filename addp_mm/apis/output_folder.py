"""A folder, or an archive, of numbered images that belong to one run."""
from __future__ import annotations

import logging
import re
import zipfile
from pathlib import Path
from typing import Any

import mmengine.dist as dist
import numpy as np
from mmengine.logging import print_log
from PIL import Image

from ..atomic_write import atomic_write, remove_partial, write_json
from ..result_folder import SETTINGS, other_settings

STEPS = 'steps'
_ABANDONED = 3600       # seconds without a change: no process is writing that file any more
_OWN_NAME = re.compile(r'\d{6,}\.png')
_SUFFIXES = {'.png', '.jpg', '.jpeg', '.webp', '.bmp', '.npz', '.npy'}


class OutputFolder:
    """Where the images of a run go, as ``000000.png``, ``000001.png`` ... in the order of the run.

    Beside them stands ``settings.json``: what the images depend on. A later run with the same
    settings adds what is missing; one with others is refused. For an archive, the images are
    collected in a folder ``<name>.npz.images`` beside it, which is removed in the end unless it
    holds something else too.

    Args:
        path: A folder, or a file that ends in .npz.
        settings: What the images depend on; values that JSON knows.
        overwrite: Remove the images of another or an earlier run.

    Raises:
        ValueError: In all processes, if the path holds something else and ``overwrite`` is False.
    """

    def __init__(self, path: str | Path, settings: dict[str, Any],
                 overwrite: bool = False) -> None:
        path = Path(path)
        self.archive = path if path.suffix == '.npz' else None
        self.folder = path.with_name(f'{path.name}.images') if self.archive else path
        self._settings = settings
        trouble = [self._prepare(overwrite) if dist.is_main_process() else None]
        dist.broadcast_object_list(trouble)
        if trouble[0]:
            raise ValueError(trouble[0])

    def image_path(self, index: int) -> Path:
        """The file of an image."""
        return self.folder / f'{index:06d}.png'

    def steps_path(self, index: int) -> Path:
        """The file of the picture of an image's steps."""
        return self.folder / STEPS / f'{index:06d}.png'

    def num_further(self, num_images: int) -> int:
        """How many images the folder holds beyond so many, from a call that wanted more."""
        return sum(int(path.stem) >= num_images for path in _own_images(self.folder))

    def finish(self, num_images: int) -> Path:
        """Wait for all processes; then put the images into the archive, if there is one.

        Returns:
            The folder or the archive.
        """
        dist.barrier()
        if self.archive is None:
            return self.folder
        if dist.is_main_process():
            self._pack(self.archive, num_images)
        return self.archive

    def _prepare(self, overwrite: bool) -> str | None:
        """Make the folder; gives what is in the way, if anything."""
        if not overwrite and (trouble := self._trouble()):
            return f'{trouble} Choose another --out, or allow it to be replaced with --overwrite.'
        if self.folder.exists() and not self.folder.is_dir():
            return f'{self.folder} is a file, expected a folder or a name that ends in .npz.'
        if overwrite:
            self._clear()
        for folder in (self.folder, self.folder / STEPS, self.folder.parent):
            remove_partial(folder, _ABANDONED)
        write_json(self.folder / SETTINGS, self._settings)
        return None

    def _trouble(self) -> str | None:
        if self.archive is not None and self.archive.exists():
            return f'{self.archive} exists already.'
        if not self.folder.is_dir():
            return None
        if not (self.folder / SETTINGS).is_file():
            found = sorted(p.name for p in self.folder.iterdir() if p.suffix.lower() in _SUFFIXES)
            return f'{self.folder} holds other images ({found[0]}...).' if found else None
        changes = other_settings(self.folder / SETTINGS, self._settings)
        return changes and f'{self.folder} holds images of another run: {changes}.'

    def _clear(self) -> None:
        """Remove what runs of this tool have left; other files stay."""
        if self.archive is not None:
            self.archive.unlink(missing_ok=True)
        for folder in (self.folder, self.folder / STEPS):
            for path in _own_images(folder):
                path.unlink()
        (self.folder / SETTINGS).unlink(missing_ok=True)

    def _pack(self, target: Path, num_images: int) -> None:
        """One array ``arr_0`` (N, H, W, 3) uint8, as evaluators of generative models read it."""
        first = np.asarray(Image.open(self.image_path(0)))
        header = dict(descr='|u1', fortran_order=False, shape=(num_images, *first.shape))
        with atomic_write(target) as partial, \
                zipfile.ZipFile(partial, 'w', allowZip64=True) as archive, \
                archive.open('arr_0.npy', 'w', force_zip64=True) as file:
            np.lib.format.write_array_header_1_0(file, header)
            for index in range(num_images):
                with Image.open(self.image_path(index)) as image:
                    file.write(np.asarray(image).tobytes())
        self._remove_packed(num_images)

    def _remove_packed(self, num_images: int) -> None:
        """Remove the images that are in the archive, and the folder if nothing else is in it."""
        for index in range(num_images):
            self.image_path(index).unlink()
        remove_partial(self.folder)
        if not _own_images(self.folder):
            (self.folder / SETTINGS).unlink()
        left = sorted(path.name for path in self.folder.iterdir())
        if left:
            print_log(f'{self.folder} stays: it holds more than is in {self.archive} ({left[0]}'
                      '...). Remove it if that is not needed.', 'current', logging.WARNING)
        else:
            self.folder.rmdir()


def _own_images(folder: Path) -> list[Path]:
    """The images of a folder, which need not exist, that have names of ours."""
    return [path for path in folder.glob('*.png') if _OWN_NAME.fullmatch(path.name)]


def save_image(pixels: np.ndarray, path: Path) -> None:
    """Write (H, W, 3) uint8 RGB as a PNG file, whole or not at all."""
    with atomic_write(path, sync=False) as partial:
        Image.fromarray(pixels).save(partial, format='PNG', compress_level=1)
