"""Checks the images of a user, brings odd ones to RGB, and holds some out."""
from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..atomic_write import write_json
from ..datasets.image_reader import shown_name
from ..name_lists import listed
from ..result_folder import ResultFolder, read_json
from .image_check import CheckedImage, check_image
from .image_sources import (
    ENDINGS,
    FOUND,
    LISTS,
    UNPACKED,
    archive_has_changed,
    claim,
    files_of,
    is_archive,
)
from .scale import choose_scale

MIN_IMAGES = 3
FEW_IMAGES = 100
SHARE_HELD_OUT, MAX_HELD_OUT = 0.1, 500
# Folders of labels beside one of images: one mask an object, or one label image a picture.
LABEL_FOLDERS = ('masks', 'instances', 'labels', 'annotations')
_IMAGE_FOLDERS = ('images', 'Images', 'IMAGES')
_IN_ONE_PROCESS = 64
_T = TypeVar('_T')


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
        held_out: List file of the same images as the user named them.
        scale: 'native': crops at the images' own scale; 'object': crops of all sizes, shrunk.
        asked_scale: The scale that was asked for; None: it was to be chosen.
        stretch: Whether grey images were stretched to their range.
        notes: What was found and done, a sentence each.
    """

    source: str
    image_size: int
    train: str
    val: str
    num_train: int
    num_val: int
    held_out: str = ''
    scale: str = 'object'
    asked_scale: str | None = 'object'
    stretch: bool = False
    notes: list[str] = field(default_factory=list)


def prepare_images(source: Path, out: Path, image_size: int, say: Callable[[str], None],
                   scale: str | None = 'object', stretch: bool = False) -> ImageSet:
    """Check all images, store those that need another form, and write the two lists.

    Images stay where they are, unless they are animated, have another mode than RGB or grey, or are
    much larger than the crops: of those a copy goes to ``out/images``. A second call with the same
    arguments returns what the first one found, and says what was added since.

    Args:
        source: A folder, an archive (.zip, .tar, .tar.gz...), or a text file with one path a line,
            relative to its folder.
        out: Where lists and copies go.
        image_size: Side of the crops of training in pixels.
        say: Takes lines on the progress.
        scale: 'native' or 'object', see :class:`ImageSet`; None chooses from the pictures.
        stretch: Grey images are stretched to their range (0.1st to 99.9th percentile).

    Returns:
        The lists, and notes for the user.

    Raises:
        ValueError: If there is nothing to train with, ``out`` holds images that were prepared
            otherwise or files of others, or another process prepares them.
        FileNotFoundError: If ``source`` does not exist.
    """
    claim(source, out)
    inputs = dict(source=str(source.absolute()), image_size=image_size, asked_scale=scale,
                  stretch=stretch)
    is_prepared = (out / 'images.json').is_file()
    record = ResultFolder(out).make(
        'images', lambda: _prepare(source, out, image_size, say, scale, stretch), inputs)
    if record is None:
        raise ValueError(f'Another process prepares the images in {out}: wait for it.')
    if is_prepared:
        _say_what_is_new(source, out, say)
    return ImageSet(**record)


def _prepare(source: Path, out: Path, image_size: int, say: Callable[[str], None],
             scale: str | None, stretch: bool) -> dict[str, Any]:
    """The fields of the set of images that were not asked for."""
    paths, notes = find_images(source, out)
    write_json(out / FOUND, [str(path.absolute()) for path in paths])
    if scale is None:
        scale, why = choose_scale(paths, image_size)
        notes.append(why)
    say(f'Checking {len(paths)} images in {source} ...')
    checked = _check_all(paths, out / 'images', image_size, scale, stretch)
    usable = [image for image in checked if image.paths]
    notes += _summarise(checked, image_size, scale)
    if len(usable) < MIN_IMAGES:
        raise ValueError(f'{source} has {len(usable)} usable images, expected at least '
                         f'{MIN_IMAGES}, better some thousands. ' + ' '.join(notes))
    return dict(_write_lists(usable, out), scale=scale, notes=notes)


def _write_lists(usable: list[CheckedImage], out: Path) -> dict[str, Any]:
    train, val = hold_out(usable)
    files = {name: (out / f'{name}.txt').absolute() for name in LISTS}
    for name, part in (('train', train), ('val', val)):
        files[name].write_text(''.join(f'{p}\n' for image in part for p in image.paths),
                               encoding='utf-8')
    files['held_out'].write_text(''.join(f'{Path(image.source).absolute()}\n' for image in val),
                                 encoding='utf-8', errors='surrogateescape')
    num_train, num_val = (sum(len(image.paths) for image in part) for part in (train, val))
    return dict({name: str(file) for name, file in files.items()}, num_train=num_train,
                num_val=num_val)


def find_images(source: Path, out: Path) -> tuple[list[Path], list[str]]:
    """The files of a folder, an archive or a list whose names end like those of images, each once.

    Returns:
        The files without those that label others, and notes on what was left out.
    """
    found = files_of(source, out)
    single: dict[str, Path] = {}
    for path in found:
        single.setdefault(os.path.realpath(path), path)
    roots = (source, source.parent, out / UNPACKED) if source.is_file() else (source, )
    label_folder = {folder: _label_folder(folder, roots)
                    for folder in {path.parent for path in single.values()}}
    paths = [path for path in single.values() if label_folder[path.parent] is None]
    notes = []
    if len(single) < len(found):
        notes.append(f'{len(found) - len(single)} of {len(found)} paths lead to the file of '
                     'another path: left out.')
    if len(paths) < len(single):
        folders = sorted(shown_name(folder) for folder in {*label_folder.values()} if folder)
        notes.append(f'Taken for labels and left out: {len(single) - len(paths)} of {len(single)} '
                     f'files, those in {listed(folders)}.')
    if not paths:
        raise ValueError(f'There is no image in {source}: expected files whose names end in '
                         f'{", ".join(ENDINGS)}, in any folder below. {" ".join(notes)}'.rstrip())
    return paths, notes


def is_for_labels(folder: Path) -> bool:
    """Whether a folder has one of the names of :data:`LABEL_FOLDERS`, upper or lower case."""
    return folder.name.lower() in LABEL_FOLDERS and folder.is_dir()


def _label_folder(folder: Path, roots: Sequence[Path]) -> Path | None:
    """The folder of labels, beside one of images, that a folder below one of the roots is in."""
    for outer in takewhile(lambda path: path not in roots, (folder, *folder.parents)):
        if is_for_labels(outer) and any(
                (outer.parent / name).is_dir() for name in _IMAGE_FOLDERS):
            return outer
    return None


def _say_what_is_new(source: Path, out: Path, say: Callable[[str], None]) -> None:
    """Say what was added to the source since the lists were written, which is not used."""
    if not (out / FOUND).is_file() or not source.exists():
        return      # of an earlier version, or all that is needed was copied
    if source.is_file() and is_archive(source):
        if archive_has_changed(source, out):
            say(f'WARNING: {source} has changed since it was unpacked, what is new in it is not '
                'used: give another --out to use it.')
        return
    known = set(read_json(out / FOUND, list))
    new = [path for path in find_images(source, out)[0] if str(path.absolute()) not in known]
    if new:
        say(f'WARNING: {len(new)} image{"s" * (len(new) > 1)} in {source} came after the lists '
            f'were written and are not used: {listed(shown_name(path.name) for path in new)}. Give '
            'another --out to use them.')


def hold_out(images: list[_T]) -> tuple[list[_T], list[_T]]:
    """The images to train with, and a tenth (at most 500) that is held out, by fixed chance."""
    count = min(MAX_HELD_OUT, max(1, round(SHARE_HELD_OUT * len(images))))
    held_out = set(np.random.default_rng(0).permutation(len(images))[:count].tolist())
    train = [image for i, image in enumerate(images) if i not in held_out]
    return train, [images[i] for i in sorted(held_out)]


def _check_all(paths: list[Path], folder: Path, image_size: int, scale: str,
               stretch: bool) -> list[CheckedImage]:
    folder.mkdir(exist_ok=True)
    check = partial(check_image, folder=folder, image_size=image_size, scale=scale, stretch=stretch)
    if len(paths) <= _IN_ONE_PROCESS:
        return [check(path) for path in paths]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(check, paths, chunksize=16))


def _summarise(checked: list[CheckedImage], image_size: int, scale: str) -> list[str]:
    by_finding = defaultdict(list)
    for image in checked:
        for finding in image.findings:
            key = 'unreadable, skipped' if finding.startswith('unreadable') else finding
            detail = finding.removeprefix('unreadable') if key != finding else ''
            by_finding[key].append(shown_name(Path(image.source).name) + detail)
    notes = []
    for finding, names in sorted(by_finding.items(), key=lambda item: -len(item[1])):
        count = f'{len(names)} image{"s" * (len(names) > 1)}'
        notes.append(f'{count} {finding}: {listed(names)}.')
    num_usable = sum(bool(image.paths) for image in checked)
    num_small = sum(len(names) for finding, names in by_finding.items()
                    if finding.startswith('smaller'))
    if num_small > len(checked) / 2:
        hint = ', or --scale object enlarges them' if scale == 'native' else ''
        notes.append('Most images are smaller than the crops: a smaller --size suits them better'
                     f'{hint}.')
    if num_usable < FEW_IMAGES:
        notes.append(f'{num_usable} images are few: expect the models to learn them by heart.')
    return notes
