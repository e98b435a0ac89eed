"""Sets of images to be measured: a folder of PNG files, or one .npz.

Shapes: N images of H x W pixels, RGB.
"""
from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from ..datasets.image_reader import PNG_START, decode_image, format_of, images_below

LOSSY = ('.jpg', '.jpeg', '.webp', '.avif')
WHY_NOT_LOSSY = (
    'JPEG artefacts change the features that FID and the other metrics compare: a FID of 11.2 '
    'against PNG became 13.7 against the same images as JPEG. Save images as PNG; a reference set '
    'is made from originals of any format by prepare_reference.py.')
_THREADS = 4
_CHECKSUMS = 20     # bytes: the pixels' checksum, that of the last part of data, and the end part


class PngFolder:
    """The PNG files of a folder; those of its subfolders, if it has none itself.

    Args:
        path: The folder.

    Attributes:
        path: The folder.
        files: The files in the order of their names.
        image_size: (H, W) of the first image.
        format: What it is, in words.

    Raises:
        ValueError: If there is no PNG file, or a lossy one.
    """

    format = 'PNG files'

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.files = _png_files(self.path)
        self.image_size = self._pixels(self.files[0]).shape[:2]

    def __len__(self) -> int:
        return len(self.files)

    def fingerprint(self) -> str:
        """A digest of names, sizes and checksums: it changes with a file's content, not its place.

        A PNG file ends with the checksums of its pixels and of its last part.
        """
        digest = hashlib.sha256()
        for file in self.files:
            size = file.stat().st_size
            digest.update(os.fsencode(f'{file.relative_to(self.path)} {size} '))
            with file.open('rb') as content:
                content.seek(max(0, size - _CHECKSUMS))
                digest.update(content.read())
        return digest.hexdigest()

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Yield all images, (N, 3, H, W) uint8.

        Raises:
            ValueError: If a file is unreadable, lossy in spite of its name, or of another size.
        """
        files = iter(self.files)
        with ThreadPoolExecutor(_THREADS) as pool:
            while chunk := list(itertools.islice(files, batch_size)):
                yield torch.stack(list(pool.map(self._read, chunk)))

    def _read(self, file: Path) -> Tensor:
        pixels = self._pixels(file)
        if pixels.shape[:2] != self.image_size:
            raise ValueError(
                f'{file} has {pixels.shape[:2]} pixels, {self.files[0].name} has '
                f'{self.image_size}: all images of a set must be of one size.')
        return torch.from_numpy(pixels).permute(2, 0, 1)

    def _pixels(self, file: Path) -> np.ndarray:
        try:
            data = file.read_bytes()
            pixels = decode_image(data)
        except (OSError, ValueError) as error:
            raise ValueError(f'{file} is unreadable ({error}): write it again.') from error
        if not data.startswith(PNG_START):
            raise ValueError(
                f'{file} is a {format_of(data)} in spite of its name. {WHY_NOT_LOSSY}')
        return pixels


class NpzImages:
    """The images of an .npz file, read piece by piece.

    Args:
        path: The file. It holds one array, or one called ``arr_0``: (N, H, W, 3) uint8. Beside it,
            or instead of it, ``mu`` (D, ) and ``sigma`` (D, D) may stand: mean and covariance of
            Inception's features, as in the reference files of ADM (arXiv 2105.05233).

    Attributes:
        path: The file.
        image_size: (H, W); None without images.
        statistics: ``mu`` and ``sigma`` as float64; None without them.
        format: What it is, in words.

    Raises:
        ValueError: If it holds something else.
    """

    format = 'one .npz'

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.statistics = self._read_statistics()
        self.image_size: tuple[int, ...] | None = None
        self._shape: tuple[int, ...] = (0, )
        if self.statistics is None or self._names() & {'arr_0'}:
            with self._array() as (shape, _):
                self._shape = shape
            self.image_size = shape[1:3]

    def __len__(self) -> int:
        return self._shape[0]

    def fingerprint(self) -> str:
        """A digest of the content, by the checksums that the archive has of its arrays."""
        with zipfile.ZipFile(self.path) as archive:
            parts = [(part.filename, part.file_size, part.CRC) for part in archive.infolist()]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Yield all images, (N, 3, H, W) uint8.

        Raises:
            ValueError: If the file is cut off.
        """
        with self._array() as (shape, file):
            for start in range(0, shape[0], batch_size):
                part = (min(batch_size, shape[0] - start), *shape[1:])
                data = bytearray(file.read(math.prod(part)))
                if len(data) < math.prod(part):
                    raise ValueError(f'{self.path} is cut off: write it again.')
                pixels = torch.frombuffer(data, dtype=torch.uint8).view(part)
                yield pixels.permute(0, 3, 1, 2)

    def _names(self) -> set[str]:
        try:
            with zipfile.ZipFile(self.path) as archive:
                return {name.removesuffix('.npy') for name in archive.namelist()}
        except zipfile.BadZipFile as error:
            raise ValueError(f'{self.path} is no whole .npz file ({error}): write it again.'
                             ) from error

    def _read_statistics(self) -> dict[str, np.ndarray] | None:
        if not {'mu', 'sigma'} <= self._names():
            return None
        with np.load(self.path) as file:
            found = {name: file[name].astype(np.float64) for name in ('mu', 'sigma')}
        dims = found['mu'].size
        if found['mu'].ndim != 1 or found['sigma'].shape != (dims, dims) or not all(
                np.isfinite(part).all() for part in found.values()):
            raise ValueError(f'Expected finite mu (D, ) and sigma (D, D) in {self.path}, got '
                             f'{found["mu"].shape} and {found["sigma"].shape}.')
        return found

    @contextlib.contextmanager
    def _array(self) -> Iterator[tuple[tuple[int, ...], IO[bytes]]]:
        """Shape, and a file at the first pixel."""
        try:
            with zipfile.ZipFile(self.path) as archive, \
                    archive.open(self._member(archive.namelist())) as file:
                yield self._read_header(file), file
        except zipfile.BadZipFile as error:
            raise ValueError(f'{self.path} is no whole .npz file ({error}): write it again.'
                             ) from error

    def _member(self, names: list[str]) -> str:
        if 'arr_0.npy' in names or len(names) == 1:
            return 'arr_0.npy' if 'arr_0.npy' in names else names[0]
        raise ValueError(f'Expected one array of images, called arr_0, in {self.path}, got '
                         f'{[name.removesuffix(".npy") for name in names]}.')

    def _read_header(self, file: IO[bytes]) -> tuple[int, ...]:
        readers = {(1, 0): np.lib.format.read_array_header_1_0,
                   (2, 0): np.lib.format.read_array_header_2_0}
        shape, fortran_order, dtype = readers[np.lib.format.read_magic(file)](file)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or not shape[0] or fortran_order:
            raise ValueError(f'Expected images (N, H, W, 3) uint8 in {self.path}, got {shape} '
                             f'{dtype}{" in Fortran order" if fortran_order else ""}.')
        return shape


ImageSet = PngFolder | NpzImages


def open_image_set(path: str | Path) -> ImageSet:
    """Open a folder of PNG files or an .npz file.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it is neither, or holds lossy images.
    """
    path = Path(path)
    if path.is_dir():
        return PngFolder(path)
    if not path.exists():
        raise FileNotFoundError(f'Expected images at {path} (working folder {os.getcwd()}), there '
                                'is nothing.')
    if path.suffix == '.npz':
        return NpzImages(path)
    raise ValueError(f'Expected a folder of PNG files or an .npz file, got {path}.')


def _png_files(folder: Path) -> list[Path]:
    names = [Path(entry.path) for entry in os.scandir(folder)
             if entry.is_file() and not entry.name.startswith('.')]
    images = [path for path in names if path.suffix.lower() in ('.png', *LOSSY)]
    images = images or images_below(folder, ('.png', *LOSSY))
    lossy = [path for path in images if path.suffix.lower() in LOSSY]
    if lossy:
        raise ValueError(f'{len(lossy)} images in {folder} are lossy, for example {lossy[0].name}. '
                         f'{WHY_NOT_LOSSY}')
    if not images:
        raise ValueError(f'Expected PNG files in {folder}, there are none.')
    return sorted(images, key=str)
