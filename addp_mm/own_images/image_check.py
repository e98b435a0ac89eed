"""Checks one image, and stores a copy of an odd one in a form that trainings read."""
from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from ..atomic_write import atomic_write
from ..datasets.grey_range import is_grey, stretched
from ..datasets.image_reader import (
    first_line,
    is_transparent,
    open_picture,
    read_pixels,
    shown_name,
    to_rgb,
)

# An image whose shorter side is longer than so many crops is stored smaller: decoding would take
# most of the time. A crop of a fifth of its area (the smallest of training) is then not enlarged.
MAX_CROPS = 4
# At the images' own scale, an image with a longer side is stored as tiles of about so many crops.
MAX_TILE_CROPS, TILE_CROPS = 16, 8
# 13 bits in a file of 16; what has no more levels is nearly black.
FEW_LEVELS = 32
_FEW = (f'with at most {FEW_LEVELS} of 256 levels once scaled down to 8 bits: --stretch uses their '
        'range')
_PLAIN_MODES = ('RGB', 'L')
_PLAIN_FORMATS = ('JPEG', 'PNG', 'BMP', 'PPM', 'TIFF', 'WEBP')
_MAX_NAME = 150     # bytes of a copy's name that repeat the path; file systems take 255


@dataclass
class CheckedImage:
    """One image after its check: where to read it or its tiles, and what was noted.

    There are no paths if it is unusable.
    """

    source: str
    paths: list[str]
    findings: list[str]


def check_image(path: Path, folder: Path, image_size: int, scale: str = 'object',
                stretch: bool = False) -> CheckedImage:
    """Read one image, and store a copy if it needs another form.

    Args:
        path: The image.
        folder: Where a copy goes, under a name made of the whole path.
        image_size: Side of the crops of training in pixels.
        scale: 'native' or 'object'.
        stretch: Stretch it to its range if it is grey.
    """
    try:
        pixels = _read_as_training(path)
        with open_picture(path.read_bytes()) as image:
            image.load()
            stretches = stretch and is_grey(image)
            plain = to_rgb(stretched(image)) if stretches else Image.fromarray(pixels)
            levels = 1 + int(np.ptp(np.asarray(plain), axis=(0, 1)).max())
            reason = _why_unusable(image, levels, image_size, scale)
            if reason:
                return CheckedImage(str(path), [], [reason])
            findings = describe_oddities(image, image_size, scale)
            findings += [_FEW] * (_is_deep(image) and levels <= FEW_LEVELS)
            findings += ['grey: stretched to its range'] * stretches
            findings += ['of a name that a list cannot hold: copied'] * (not _fits_list(path))
            if not findings or findings == [describe_small(image_size)]:
                return CheckedImage(str(path), [str(path.absolute())], findings)
            copy = _copy_name(path, folder, image.format, f'{image_size} {scale} {stretch}')
            if scale == 'object':
                plain = shrink(plain, MAX_CROPS * image_size)
            tiles = cut_tiles(plain, image_size) if scale == 'native' else [plain]
            return CheckedImage(str(path), _store(tiles, copy), findings)
    except Exception as error:  # whatever a decoder raises for broken data
        if isinstance(error, OSError) and error.errno is not None and path.is_file():
            raise  # the disk, not the image
        return CheckedImage(str(path), [], [f'unreadable ({first_line(error)})'])


def _read_as_training(path: Path) -> np.ndarray:
    """The pixels; raises where the training could not read a file, whatever else could."""
    try:
        return read_pixels(path)
    except OSError as error:
        raise ValueError(first_line(error)) from error


def _fits_list(path: Path) -> bool:
    """Whether a list in UTF-8, one path a line, can hold a path."""
    name = str(path.absolute())
    return shown_name(name) == name and not {'\n', '\r'} & set(name)


def _why_unusable(image: Image.Image, levels: int, image_size: int, scale: str) -> str | None:
    """Why an image is left out that has so many levels from the least to the greatest value."""
    if scale == 'native' and min(image.size) < image_size:
        return f'smaller than the crop of {image_size} pixels: left out'
    if levels > 1:
        return None
    if _is_deep(image) and len(set(image.getextrema())) > 1:
        return 'of one colour once scaled down to 8 bits: left out (--stretch uses their range)'
    return 'of one colour: left out'


def _is_deep(image: Image.Image) -> bool:
    """Whether values have more than 8 bits."""
    return image.mode.startswith(('I', 'F'))


def _store(tiles: list[Image.Image], copy: Path) -> list[str]:
    """Save the parts of an image whose copy has the name ``copy``; their paths."""
    names = [copy] if len(tiles) == 1 else [
        copy.with_name(f'{copy.stem}__{i}{copy.suffix}') for i in range(len(tiles))]
    for tile, name in zip(tiles, names, strict=True):
        if not name.exists():
            with atomic_write(name) as partial_copy:
                image_format = 'PNG' if name.suffix == '.png' else 'JPEG'
                tile.save(partial_copy, format=image_format, quality=95)
    return [str(name.absolute()) for name in names]


def cut_tiles(image: Image.Image, image_size: int) -> list[Image.Image]:
    """Cut an image of more than ``MAX_TILE_CROPS`` crops, because all of a file is decoded.

    Returns:
        Tiles of about ``TILE_CROPS`` crops and at least one, without overlap; a smaller image as
        it is.
    """
    if max(image.size) <= MAX_TILE_CROPS * image_size:
        return [image]
    columns, rows = (np.linspace(0, side, max(1, side // (TILE_CROPS * image_size)) + 1).astype(int)
                     for side in image.size)
    return [image.crop((left, top, right, bottom))
            for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


def describe_oddities(image: Image.Image, image_size: int, scale: str = 'object') -> list[str]:
    """What keeps an opened image from being used as it is, and what is done about it."""
    findings = []
    if getattr(image, 'n_frames', 1) > 1 and image.format != 'MPO':
        findings.append('animated or with several pages: only the first one is used')
    if is_transparent(image):
        findings.append('transparent: put on white')
    elif _is_deep(image):
        findings.append('more than 8 bits per value: scaled down to 8')
    elif image.mode not in _PLAIN_MODES:
        findings.append(f'mode {image.mode}: converted to RGB')
    if image.format not in (*_PLAIN_FORMATS, 'MPO') and not findings:
        findings.append(f'format {image.format}: converted')
    return findings + _describe_size(image, image_size, scale)


def _describe_size(image: Image.Image, image_size: int, scale: str) -> list[str]:
    if scale == 'native':
        large = max(image.size) > MAX_TILE_CROPS * image_size
        return [f'larger than {MAX_TILE_CROPS} crops of {image_size} pixels: stored as '
                'tiles'] * large
    if min(image.size) > MAX_CROPS * image_size:
        return [f'larger than {MAX_CROPS} crops of {image_size} pixels: stored smaller']
    return [describe_small(image_size)] * (min(image.size) < image_size)


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Bring the shorter side down to ``side`` pixels, if it is longer."""
    shorter = min(image.size)
    if shorter <= side:
        return image
    size = [round(length * side / shorter) for length in image.size]
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.)


def describe_small(image_size: int) -> str:
    """What is said of an image that is smaller than the crops, where it is enlarged."""
    return f'smaller than the crop of {image_size} pixels: enlarged'


def _copy_name(path: Path, folder: Path, image_format: str | None, settings: str) -> Path:
    """A name of its own for each file and settings, which says where the image is from."""
    parts, status = path.absolute().parts[1:], path.stat()
    readable = '__'.join(map(shown_name, parts)).encode()[-_MAX_NAME:].decode(errors='ignore')
    made_of = f' {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {settings}'
    digest = blake2b(os.fsencode(f'{path.absolute()}{made_of}'), digest_size=5).hexdigest()
    suffix = '.jpg' if image_format in ('JPEG', 'MPO') else '.png'
    one_line = ''.join(letter if letter.isprintable() else '_' for letter in readable)
    return folder / f'{one_line}__{digest}{suffix}'
