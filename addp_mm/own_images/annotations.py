"""Writes labelled images as mmdet and mmseg read them: COCO files, and maps of classes.

Shapes: H x W pixels of an image.
"""
from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..datasets.image_reader import shown_name
from ..datasets.labelled_pictures import run_lengths
from ..datasets.text_lists import read_lines
from ..result_folder import SETTINGS, other_settings
from .images import hold_out
from .labels import LabelledImages

PARTS = ('train', 'val')
_DIGEST, _DIGITS = ' (digest of the content)', 12


def write_annotations(found: LabelledImages, out: Path, held_out: Path | None,
                      settings: dict[str, Any], say: Callable[[str], None]) -> Path:
    """Write one data set with two sets of labels; the pictures stay where they are.

    ``out/{train,val}.json``: in COCO's format; ``file_name`` starts from ``found.root``.
    ``out/maps/<file_name>.png``: 0 background, then the categories in their order, from 1.
    ``out/{train,val}.txt``: the file names of each part, for mmseg.

    Args:
        found: The images and their objects.
        out: Where it goes. It appears whole or not at all.
        held_out: List file of the images to validate with, one path a line, relative to the working
            folder or to that of the list; None: what an
            ``index.json`` beside the images says, else a tenth by fixed chance.
        settings: Where it comes from. They are kept with digests of the labels and of what is held
            out; a second call with the same of all leaves everything as it is.
        say: Takes a line for each note.

    Returns:
        ``out``.

    Raises:
        ValueError: If ``out`` holds something else, or a part would have no image.
    """
    val = choose_held_out(found, held_out, say)
    settings = settings | _digests(found, val)
    if _is_complete(out, settings, say):
        return out
    partial = out.with_name(f'.{out.name}.{os.getpid()}.partial')
    (partial / 'maps').mkdir(parents=True)
    try:
        for part in PARTS:
            images = [image for image in found.images if (image['id'] in val) == (part == 'val')]
            _write_part(found, images, partial, part)
        num_hidden = _write_maps(found, partial / 'maps')
        (partial / SETTINGS).write_text(json.dumps(settings, indent=2) + '\n')
        out.parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    if num_hidden:
        say(f'Objects hide each other in {num_hidden} maps: there the smaller one is on top.')
    return out


def choose_held_out(found: LabelledImages, held_out: Path | None,
                    say: Callable[[str], None]) -> set[int]:
    """Ids of the images to validate with, see :func:`write_annotations`."""
    source = held_out or found.root.parent / 'index.json'
    val = _listed(found, held_out, say) if held_out else _indexed(found, source, say)
    decides = '' if val is None else f': {source} decides that.'
    if val is None:
        val = {image['id'] for image in hold_out(found.images)[1]}
    if not 0 < len(val) < len(found.images):
        raise ValueError(f'{len(val)} of {len(found.images)} labelled images are held out, '
                         'expected at least one to train with and one to validate with' + decides)
    return val


def draw_map(annotations: Sequence[dict[str, Any]], values: dict[int, int], height: int,
             width: int) -> tuple[np.ndarray, bool]:
    """Draw the objects of an image, the largest first.

    Args:
        annotations: In COCO's format.
        values: Value of each category id.
        height: H.
        width: W.

    Returns:
        (H, W) uint8, and whether objects of two values hide each other.
    """
    drawn, hides = np.zeros((height, width), np.uint8), False
    for annotation in sorted(annotations, key=lambda x: -x['area']):
        mask = decode_mask(annotation['segmentation'], height, width)
        value = values[annotation['category_id']]
        hides |= bool(((drawn[mask] != 0) & (drawn[mask] != value)).any())
        drawn[mask] = value
    return drawn, hides


def decode_mask(segmentation: dict | list, height: int, width: int) -> np.ndarray:
    """A mask (H, W) bool from COCO's polygons or run-length code.

    Raises:
        ValueError: If it is of another size.
        ModuleNotFoundError: If pycocotools is missing, for all but plain run-length code.
    """
    if isinstance(segmentation, dict) and tuple(segmentation['size']) != (height, width):
        raise ValueError(f'A mask has height and width {segmentation["size"]}, its image '
                         f'{[height, width]}: labels and pictures must have one size.')
    if isinstance(segmentation, dict) and isinstance(segmentation['counts'], list):
        counts = segmentation['counts']
        flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
        return flat.reshape(width, height).T
    try:
        from pycocotools import mask as coder  # comes with mmdet
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('Polygons need pycocotools: pip install pycocotools.') from error
    return coder.decode(run_lengths(segmentation, (width, height))).astype(bool)


def _write_part(found: LabelledImages, images: list[dict], out: Path, part: str) -> None:
    ids = {image['id'] for image in images}
    annotations = [x for x in found.annotations if x['image_id'] in ids]
    if not annotations:
        raise ValueError(f'There is no object on the {len(images)} images of the part {part}.')
    content = dict(images=images, annotations=annotations, categories=found.categories)
    (out / f'{part}.json').write_text(json.dumps(content))
    (out / f'{part}.txt').write_text(''.join(f'{image["file_name"]}\n' for image in images))


def _write_maps(found: LabelledImages, out: Path) -> int:
    """Write a map for each image; on how many objects hide each other."""
    by_image = defaultdict(list)
    for annotation in found.annotations:
        by_image[annotation['image_id']].append(annotation)
    values = {category['id']: i for i, category in enumerate(found.categories, 1)}
    num_hidden = 0
    for image in found.images:
        drawn, hides = draw_map(by_image[image['id']], values, image['height'], image['width'])
        path = out / f'{image["file_name"]}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(drawn).save(path)
        num_hidden += hides
    return num_hidden


def _listed(found: LabelledImages, held_out: Path, say: Callable[[str], None]) -> set[int]:
    """What a list names, relative to the working folder or to the folder of the list."""
    by_path = {os.path.realpath(found.root / image['file_name']): image['id']
               for image in found.images}
    lines = read_lines(held_out)
    named = [next((by_path[path] for path in (os.path.realpath(line),
                                              os.path.realpath(held_out.parent / line))
                   if path in by_path), None) for line in lines]
    if num_unknown := named.count(None):
        first = shown_name(lines[named.index(None)])
        say(f'WARNING: {num_unknown} of {len(lines)} lines of {held_out} name no labelled image of '
            f'{found.root}, the first {first}.')
    return {number for number in named if number is not None}


def _indexed(found: LabelledImages, path: Path, say: Callable[[str], None]) -> set[int] | None:
    """What ``index.json`` beside the images says: entries with ``id`` and ``split``."""
    if not path.is_file():
        return None
    try:
        entries = json.loads(path.read_text(encoding='utf-8'))
        splits = {str(entry['id']): entry['split'] for entry in entries}
    except (ValueError, KeyError, TypeError):
        say(f'WARNING: {path} is no list of entries with id and split: it does not decide what is '
            'held out.')
        return None
    splits = {_without_zeros(name): split for name, split in splits.items()} | splits
    stems = ((image['id'], Path(image['file_name']).stem) for image in found.images)
    return {number for number, stem in stems
            if splits.get(stem, splits.get(_without_zeros(stem))) == 'val'}


def _without_zeros(name: str) -> str:
    return name.lstrip('0') or '0'


def _digests(found: LabelledImages, val: set[int]) -> dict[str, str]:
    """What the labels and the choice of images to validate with are told from others by."""
    labels = [found.images, found.annotations, found.categories]
    held_out = sorted(image['file_name'] for image in found.images if image['id'] in val)
    return {
        f'{name}{_DIGEST}': hashlib.sha256(json.dumps(content, sort_keys=True).encode()
                                           ).hexdigest()[:_DIGITS]
        for name, content in (('labels', labels), ('held_out', held_out))}


def _is_complete(out: Path, settings: dict[str, str], say: Callable[[str], None]) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    path, wanted = out / SETTINGS, settings
    if not path.is_file():
        raise ValueError(f'{out} holds something else, expected an empty or new folder: name '
                         'another --out.')
    if _DIGEST not in path.read_text(encoding='utf-8'):
        say(f'WARNING: {out} was written before labels were compared: it is kept as it is, even if '
            'they were changed since. Remove it to have it written again.')
        wanted = {name: x for name, x in settings.items() if not name.endswith(_DIGEST)}
    if trouble := other_settings(path, wanted):
        raise ValueError(f'{out} was made of something else ({trouble}), and nothing is replaced; '
                         'expected an empty or new folder: name another --out, or remove this one.')
    return True
