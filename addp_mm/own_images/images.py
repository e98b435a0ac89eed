"""Checks the images of a user, brings odd ones to RGB, and holds some out."""
from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from ..atomic_write import atomic_write, write_whole
from ..datasets.image_reader import first_line, is_transparent, read_pixels, shown_name, to_rgb
from .image_sources import ENDINGS, check_places, files_of

MIN_IMAGES = 3
FEW_IMAGES = 100
SHARE_HELD_OUT, MAX_HELD_OUT = 0.1, 500
# An image whose shorter side is longer than so many crops is stored smaller: decoding would take
# most of the time. A crop of a fifth of its area (the smallest of training) is then not enlarged.
MAX_CROPS = 4
_PLAIN_MODES = ('RGB', 'L')
_PLAIN_FORMATS = ('JPEG', 'PNG', 'BMP', 'PPM', 'TIFF', 'WEBP')
_MAX_NAME = 150     # bytes of a copy's name that repeat the path; file systems take 255
_NAMED = 5
_IN_ONE_PROCESS = 64


@dataclass
class ImageSet:
    """Images that can be trained with.

    Attributes:
        source: What the user named.
        image_size: Side of the crops that they were checked for.
        train: List file of the images to train with, one path a line.
        val: List file of the images that are held out.
        num_train: Number of the former.
        num_val: Number of the latter.
        notes: What was found and done, a sentence each.
    """

    source: str
    image_size: int
    train: str
    val: str
    num_train: int
    num_val: int
    notes: list[str] = field(default_factory=list)


@dataclass
class CheckedImage:
    """One image after its check: where to read it, None if it is unusable, and what was noted."""

    source: str
    path: str | None
    findings: list[str]


def prepare_images(source: Path, out: Path, image_size: int,
                   say: Callable[[str], None]) -> ImageSet:
    """Check all images, store those that need another form, and write the two lists.

    Images stay where they are, unless they are animated, have another mode than RGB or grey, or are
    much larger than the crops: of those a copy goes to ``out/images``. A second call with the same
    arguments returns what the first one found.

    Args:
        source: A folder, an archive (.zip, .tar, .tar.gz...), or a text file with one path a line,
            relative to its folder.
        out: Where lists and copies go.
        image_size: Side of the crops of training in pixels.
        say: Takes lines on the progress.

    Returns:
        The lists, and notes for the user.

    Raises:
        ValueError: If there is nothing to train with.
        FileNotFoundError: If ``source`` does not exist.
    """
    summary = out / 'images.json'
    if summary.is_file():
        known = ImageSet(**json.loads(summary.read_text()))
        if (known.source, known.image_size) == (str(source.absolute()), image_size):
            return known
        raise ValueError(
            f'{out} was made from {known.source} with {known.image_size} pixels, expected '
            f'{source.absolute()} with {image_size}. Give another --out, or remove that folder.')
    check_places(source, out)
    out.mkdir(parents=True, exist_ok=True)
    paths = find_images(source, out)
    say(f'Checking {len(paths)} images in {source} ...')
    checked = _check_all(paths, out / 'images', image_size)
    usable = [image.path for image in checked if image.path is not None]
    notes = _summarise(checked, image_size)
    if len(usable) < MIN_IMAGES:
        raise ValueError(f'{source} has {len(usable)} usable images, expected at least '
                         f'{MIN_IMAGES}, better some thousands. ' + ' '.join(notes))
    train, val = hold_out(usable)
    images = ImageSet(str(source.absolute()), image_size, str((out / 'train.txt').absolute()),
                      str((out / 'val.txt').absolute()), len(train), len(val), notes)
    for file, part in ((images.train, train), (images.val, val)):
        Path(file).write_text('\n'.join(part) + '\n', encoding='utf-8')
    write_whole(summary, json.dumps(asdict(images), indent=2).encode())
    return images


def find_images(source: Path, out: Path) -> list[Path]:
    """The files of a folder, an archive or a list whose names end like those of images."""
    paths = files_of(source, out)
    if not paths:
        raise ValueError(f'There is no image in {source}: expected files whose names end in '
                         f'{", ".join(ENDINGS)}, in any folder below.')
    return paths


def check_image(path: Path, folder: Path, image_size: int) -> CheckedImage:
    """Read one image, and store a copy if it needs another form.

    Args:
        path: The image.
        folder: Where a copy goes, under a name made of the whole path.
        image_size: Side of the crops of training in pixels.
    """
    try:
        _read_as_training(path)
        with Image.open(path) as image:
            image.load()
            findings = describe_oddities(image, image_size)
            findings += ['of a name that a list cannot hold: copied'] * (not _fits_list(path))
            if not findings or findings == [_small(image_size)]:
                return CheckedImage(str(path), str(path.absolute()), findings)
            copy = _copy_name(path, folder, image.format)
            if not copy.exists():
                plain = shrink(to_rgb(image), MAX_CROPS * image_size)
                with atomic_write(copy) as partial_copy:
                    image_format = 'PNG' if copy.suffix == '.png' else 'JPEG'
                    plain.save(partial_copy, format=image_format, quality=95)
            return CheckedImage(str(path), str(copy.absolute()), findings)
    except Exception as error:  # whatever a decoder raises for broken data
        if isinstance(error, OSError) and error.errno is not None and path.is_file():
            raise  # the disk, not the image
        return CheckedImage(str(path), None, [f'unreadable ({first_line(error)})'])


def _read_as_training(path: Path) -> None:
    """Raise where the training could not read a file, whatever else could."""
    try:
        read_pixels(path)
    except OSError as error:
        raise ValueError(first_line(error)) from error


def _fits_list(path: Path) -> bool:
    """Whether a list in UTF-8, one path a line, can hold a path."""
    name = str(path.absolute())
    return shown_name(name) == name and not {'\n', '\r'} & set(name)


def describe_oddities(image: Image.Image, image_size: int) -> list[str]:
    """What keeps an opened image from being used as it is, and what is done about it."""
    findings = []
    if getattr(image, 'n_frames', 1) > 1 and image.format != 'MPO':
        findings.append('animated or with several pages: only the first one is used')
    if is_transparent(image):
        findings.append('transparent: put on white')
    elif image.mode.startswith(('I', 'F')):
        findings.append('more than 8 bits per value: scaled down to 8')
    elif image.mode not in _PLAIN_MODES:
        findings.append(f'mode {image.mode}: converted to RGB')
    if image.format not in (*_PLAIN_FORMATS, 'MPO') and not findings:
        findings.append(f'format {image.format}: converted')
    if min(image.size) > MAX_CROPS * image_size:
        findings.append(f'larger than {MAX_CROPS} crops of {image_size} pixels: stored smaller')
    elif min(image.size) < image_size:
        findings.append(_small(image_size))
    return findings


def shrink(image: Image.Image, side: int) -> Image.Image:
    """Bring the shorter side down to ``side`` pixels, if it is longer."""
    shorter = min(image.size)
    if shorter <= side:
        return image
    size = [round(length * side / shorter) for length in image.size]
    return image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.)


def hold_out(paths: list[str]) -> tuple[list[str], list[str]]:
    """The images to train with, and a tenth (at most 500) that is held out, by fixed chance."""
    count = min(MAX_HELD_OUT, max(1, round(SHARE_HELD_OUT * len(paths))))
    held_out = set(np.random.default_rng(0).permutation(len(paths))[:count].tolist())
    train = [path for i, path in enumerate(paths) if i not in held_out]
    return train, [paths[i] for i in sorted(held_out)]


def _check_all(paths: list[Path], folder: Path, image_size: int) -> list[CheckedImage]:
    folder.mkdir(exist_ok=True)
    check = partial(check_image, folder=folder, image_size=image_size)
    if len(paths) <= _IN_ONE_PROCESS:
        return [check(path) for path in paths]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(check, paths, chunksize=16))


def _summarise(checked: list[CheckedImage], image_size: int) -> list[str]:
    by_finding = defaultdict(list)
    for image in checked:
        for finding in image.findings:
            key = 'unreadable, skipped' if finding.startswith('unreadable') else finding
            detail = finding.removeprefix('unreadable') if image.path is None else ''
            by_finding[key].append(shown_name(Path(image.source).name) + detail)
    notes = []
    for finding, names in sorted(by_finding.items(), key=lambda item: -len(item[1])):
        more = f' and {len(names) - _NAMED} more' if len(names) > _NAMED else ''
        count = f'{len(names)} image{"s" * (len(names) > 1)}'
        notes.append(f'{count} {finding}: {", ".join(names[:_NAMED])}{more}.')
    num_usable = sum(image.path is not None for image in checked)
    if len(by_finding[_small(image_size)]) > num_usable / 2:
        notes.append('Most images are smaller than the crops: a smaller --size suits them better.')
    if num_usable < FEW_IMAGES:
        notes.append(f'{num_usable} images are few: expect the models to learn them by heart.')
    return notes


def _small(image_size: int) -> str:
    return f'smaller than the crop of {image_size} pixels: enlarged'


def _copy_name(path: Path, folder: Path, image_format: str | None) -> Path:
    """A name of its own for each path, which says where the image is from."""
    parts = path.absolute().parts[1:]
    readable = '__'.join(map(shown_name, parts)).encode()[-_MAX_NAME:].decode(errors='ignore')
    digest = blake2b(os.fsencode(path.absolute()), digest_size=5).hexdigest()
    suffix = '.jpg' if image_format in ('JPEG', 'MPO') else '.png'
    one_line = ''.join(letter if letter.isprintable() else '_' for letter in readable)
    return folder / f'{one_line}__{digest}{suffix}'
