"""Photographs with handwritten digits on them: detection and segmentation on a laptop's CPU.

Shapes: S scene height and width, B digits on a scene, d height and width of a digit.
"""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from ..atomic_write import partial_path, write_json
from ..result_folder import SETTINGS, other_settings
from .digits import load_digits, split_digits

DIGIT_CLASSES = tuple('0123456789')
SCENE_CLASSES = ('photograph', *DIGIT_CLASSES)
# Annotation values: 0 is ADE20K's "other", which `reduce_zero_label` leaves out of loss and score.
OTHER, PHOTOGRAPH, FIRST_DIGIT = 0, 1, 2
# Share of each photograph's width that a part's backgrounds are cut from.
_REGIONS = dict(training=(0.0, 0.6), validation=(0.6, 1.0))
_DIGIT_SIZES = (0.25, 0.45)     # of the scene's height
_MAX_DIGITS = 4
_FAINT, _SOLID = 0.15, 0.5      # ink below is photograph, ink above is digit, between is "other"
_MAX_HIDDEN = 0.2               # share of a digit's ink that others may hide


def write_digit_scenes(folder: str | Path, image_size: int = 96, num_training: int = 500,
                       num_validation: int = 150, seed: int = 0) -> Path:
    """Compose scikit-learn's handwritten digits onto its two sample photographs.

    One set of images with two sets of labels::

        folder/images/{training,validation}/00000.jpg         S x S pixels
        folder/annotations/{training,validation}/00000.png    ADE20K's layout: 0 other (the blurred
                                                              rim of strokes), 1 photograph, 2 to 11
                                                              the digits 0 to 9
        folder/coco/instances_{training,validation}.json      COCO's format: boxes, and masks as
                                                              run-length code, of what is visible

    Training and validation share no digit (the split of ``write_digits``, so that an encoder
    pre-trained there has seen no validation digit) and no part of a photograph. Sizes, places,
    tints and numbers of digits are drawn at random; all of it is our choice.

    Args:
        folder: Where it goes. It appears whole or not at all; one with the same settings is left
            as it is.
        image_size: S, at least 64.
        num_training: Number of training scenes.
        num_validation: Number of validation scenes.
        seed: Of the random draws.

    Returns:
        ``folder``.

    Raises:
        ValueError: If an argument is too small, or ``folder`` holds something else.
        ModuleNotFoundError: If scikit-learn is missing.
    """
    if image_size < 64 or num_training < 1 or num_validation < 1:
        raise ValueError('Expected image_size of at least 64 and at least one scene in each part, '
                         f'got {image_size}, {num_training} and {num_validation}.')
    folder = Path(folder)
    settings = dict(made_by='write_digit_scenes', image_size=image_size, seed=seed,
                    num_training=num_training, num_validation=num_validation)
    if _is_complete(folder, settings):
        return folder
    partial = partial_path(folder)
    partial.mkdir(parents=True)
    try:
        for part, count in (('training', num_training), ('validation', num_validation)):
            _write_part(partial, part, count, image_size, seed)
        write_json(partial / SETTINGS, settings)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print_log(f'Wrote {num_training} + {num_validation} scenes of {image_size} x {image_size} '
              f'pixels to {folder}.', 'current')
    return folder


def encode_mask(mask: np.ndarray) -> dict:
    """COCO's run-length code of a mask (H, W) bool: lengths of runs, columns first, from False."""
    values = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff([0, *changes, len(values)]).tolist()
    return dict(size=list(mask.shape), counts=[0, *lengths] if values[0] else lengths)


def _is_complete(folder: Path, settings: dict) -> bool:
    """Whether the scenes are there already; what else is there may not be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    changes = other_settings(folder / SETTINGS, settings)
    if (folder / SETTINGS).is_file() and not changes:
        return True
    what = f'scenes with other settings ({changes})' if changes else 'something else'
    raise ValueError(f'{folder} holds {what}, expected an empty or new folder for {settings}: name '
                     'another folder, or remove this one.')


def _write_part(folder: Path, part: str, count: int, image_size: int, seed: int) -> None:
    images, annotations = (folder / name / part for name in ('images', 'annotations'))
    for path in (images, annotations, folder / 'coco'):
        path.mkdir(parents=True, exist_ok=True)
    coco = dict(images=[], annotations=[],
                categories=[dict(id=i + 1, name=name) for i, name in enumerate(DIGIT_CLASSES)])
    scenes = _compose(part, count, image_size, np.random.default_rng([seed, *part.encode()]))
    for index, (pixels, segmentation, labels, masks) in enumerate(scenes):
        name = f'{index:05d}'
        Image.fromarray(pixels).save(images / f'{name}.jpg', quality=95)
        Image.fromarray(segmentation).save(annotations / f'{name}.png')
        coco['images'].append(
            dict(id=index, file_name=f'{name}.jpg', width=image_size, height=image_size))
        for label, mask in zip(labels, masks, strict=True):
            coco['annotations'].append(
                dict(id=len(coco['annotations']) + 1, image_id=index, category_id=int(label) + 1,
                     iscrowd=0, **describe_mask(mask)))
    (folder / 'coco' / f'instances_{part}.json').write_text(json.dumps(coco))


def describe_mask(mask: np.ndarray) -> dict:
    """Box (x, y, width, height), area and run-length code of a mask (H, W) bool, not empty."""
    (top, bottom), (left, right) = (np.flatnonzero(mask.any(axis))[[0, -1]] for axis in (1, 0))
    box = [left, top, right - left + 1, bottom - top + 1]
    return dict(bbox=[int(x) for x in box], area=int(mask.sum()), segmentation=encode_mask(mask))


def _compose(part: str, count: int, image_size: int,
             generator: np.random.Generator) -> Iterator[tuple[np.ndarray, ...]]:
    """Pixels (S, S, 3), segmentation (S, S), labels (B,) and visible masks (B, S, S) of scenes."""
    ink, labels = load_digits()
    indices = split_digits(labels)['train' if part == 'training' else 'val']
    photographs = _photographs(_REGIONS[part])
    for _ in range(count):
        background = _background(photographs, image_size, generator)
        chosen = generator.choice(indices, generator.integers(1, _MAX_DIGITS + 1), replace=False)
        layers, placed = _place(ink[chosen], image_size, generator)         # (B, S, S)
        pixels = _paint(background, layers, generator)
        masks = _visible(layers)
        yield pixels, _segment(layers, masks, labels[chosen[placed]]), labels[chosen[placed]], masks


def _photographs(region: tuple[float, float]) -> list[np.ndarray]:
    """The part of each of scikit-learn's photographs, (H, W, 3) uint8."""
    from sklearn.datasets import load_sample_images
    images = load_sample_images().images
    return [image[:, slice(*(round(x * image.shape[1]) for x in region))] for image in images]


def _background(photographs: list[np.ndarray], image_size: int,
                generator: np.random.Generator) -> np.ndarray:
    """A square crop of a photograph, mirrored or not, as (S, S, 3) in [0, 1]."""
    photograph = photographs[generator.integers(len(photographs))]
    height, width = photograph.shape[:2]
    side = generator.integers(min(height, width) // 3, min(height, width), endpoint=True)
    top = generator.integers(height - side, endpoint=True)
    left = generator.integers(width - side, endpoint=True)
    crop = Image.fromarray(photograph[top:top + side, left:left + side])
    pixels = np.asarray(crop.resize((image_size, image_size), Image.Resampling.BICUBIC)) / 255
    # Darkened a little, because the ink is bright.
    return pixels[:, ::generator.choice([-1, 1])] * generator.uniform(0.5, 0.9)


def _place(ink: np.ndarray, image_size: int,
           generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ink (B, 8, 8) in 0 to 16 -> layers (B, S, S) in [0, 1], later ones above earlier ones.

    A digit that finds no place where enough of all digits stays visible is left out.

    Returns:
        The layers, and which of the digits they show.
    """
    layers: list[np.ndarray] = []
    placed = []
    for number, digit in enumerate(ink):
        size = round(image_size * generator.uniform(*_DIGIT_SIZES))
        picture = Image.fromarray((digit / 16).astype(np.float32))
        patch = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 1)
        for top, left in generator.integers(image_size - size, size=(20, 2), endpoint=True):
            layer = np.zeros((image_size, image_size), np.float32)
            layer[top:top + size, left:left + size] = patch
            if _leaves_visible(layers, layer):
                layers.append(layer)
                placed.append(number)
                break
    return np.stack(layers), np.array(placed)


def _leaves_visible(layers: list[np.ndarray], layer: np.ndarray) -> bool:
    """Whether enough ink of each earlier layer stays visible below a new one."""
    if not layers:
        return True
    together = np.stack([*layers, layer])
    num_solid, num_visible = (x.sum((1, 2)) for x in (together > _SOLID, _visible(together)))
    return bool((num_visible >= (1 - _MAX_HIDDEN) * num_solid).all())


def _visible(layers: np.ndarray) -> np.ndarray:
    """Where the solid ink of each layer is hidden by no faint ink above, (B, S, S) bool."""
    faint = layers > _FAINT
    above = np.flip(np.logical_or.accumulate(np.flip(faint, 0), axis=0), 0)     # this and later
    hidden = np.concatenate((above[1:], np.zeros_like(above[:1])))
    return (layers > _SOLID) & ~hidden


def _paint(background: np.ndarray, layers: np.ndarray,
           generator: np.random.Generator) -> np.ndarray:
    """Lay tinted ink over a background (S, S, 3); gives uint8."""
    pixels = background
    for layer in layers:
        tint = generator.uniform(0.7, 1.0, size=3)
        pixels = pixels + layer[..., None] * (tint - pixels)
    return (pixels * 255).round().clip(0, 255).astype(np.uint8)


def _segment(layers: np.ndarray, masks: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Annotation values (S, S) uint8."""
    segmentation = np.where((layers > _FAINT).any(0), OTHER, PHOTOGRAPH).astype(np.uint8)
    for mask, label in zip(masks, labels, strict=True):
        segmentation[mask] = FIRST_DIGIT + label
    return segmentation
