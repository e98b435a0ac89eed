"""Reads labelled objects in the layouts that users have, as one data set in COCO's format.

Shapes: H x W pixels of an image.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy import ndimage

from ..datasets.digit_scenes import describe_mask
from ..datasets.image_folder import EXTENSIONS
from ..datasets.image_reader import read_values, shown_size
from .coco_labels import complete_objects, read_coco_file
from .object_masks import read_object_mask

MAX_CATEGORIES = 254    # of maps with 8 bits, beside the background
_LOSSY = ('.jpg', '.jpeg')
_ALL_OF_8_BITS = 255
_MOST = 0.5             # of a picture: an object that covers more is unusual
_Content = TypeVar('_Content')


@dataclass
class LabelledImages:
    """Images and the objects on them.

    Attributes:
        root: Folder that the images' ``file_name`` starts from.
        images: As in COCO's format: ``id``, ``file_name``, ``width``, ``height``.
        annotations: Likewise: ``image_id``, ``category_id``, ``bbox``, ``area``, ``iscrowd`` and
            ``segmentation``.
        categories: Likewise: ``id`` and ``name``.
        notes: What was found and done, a sentence each.
    """

    root: Path
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    notes: list[str] = field(default_factory=list)


def read_labels(images: Path, labels: Path | None, category: str = 'object',
                components: bool = False) -> LabelledImages:
    """Read labels in any of the layouts.

    Args:
        images: Folder of images, or with ``labels=None`` a folder of folders, each with ``images/``
            (one picture) and ``masks/`` (one mask an object, see ``object_masks``).
        labels: A folder of label images (0 background, another value for each object), of the same
            names as the images but for their endings; or a file in COCO's format.
        category: Name of the objects where the labels have none.
        components: Each separate place of a label image is an object, whatever its value.

    Raises:
        FileNotFoundError: If something named is not there.
        ValueError: If labels do not fit their images, or there are none.
    """
    if not category.strip():
        raise ValueError('Expected a name of the objects (--category), got an empty one.')
    for path in filter(None, (images, labels)):
        if not path.exists():
            raise FileNotFoundError(f'Expected images or labels at {path}, there is nothing.')
    if labels is None:
        found = _read_masks(images, category)
    elif labels.is_file():
        found = read_coco(images, labels)
    else:
        found = _read_label_images(images, labels, category, components)
    if not found.annotations:
        raise ValueError(f'There is no object in {labels or images}, expected at least one.')
    return found


def read_coco(images: Path, path: Path) -> LabelledImages:
    """Read and check a file in COCO's format, see :func:`read_labels`."""
    found = LabelledImages(images, *read_coco_file(path, images))
    missing = [image['file_name'] for image in found.images
               if not (images / image['file_name']).is_file()]
    if missing:
        raise ValueError(
            f'{len(missing)} of {len(found.images)} images of {path} are not there, the first is '
            f'{images / missing[0]}. Name the folder that their file_name starts from.')
    if len(found.categories) > MAX_CATEGORIES:
        raise ValueError(f'{path} has {len(found.categories)} categories, expected at most '
                         f'{MAX_CATEGORIES}: the values of maps have 8 bits, which would cut the '
                         'others off.')
    for image in found.images:
        _check_size((images / image['file_name']), (image['width'], image['height']), path)
    sizes = {image['id']: (image['width'], image['height']) for image in found.images}
    completed = complete_objects(found.annotations, sizes, (x['id'] for x in found.categories),
                                 path)
    if num := sum(new != old for new, old in zip(completed, found.annotations, strict=True)):
        found.notes.append(f'{num} objects had an area of 0 or no iscrowd: filled in.')
    found.annotations = completed
    return found


def _read_masks(root: Path, category: str) -> LabelledImages:
    folders = sorted(folder.parent for folder in root.glob('*/masks') if folder.is_dir())
    if not folders:
        raise ValueError(
            f'Expected folders with images/ and masks/ in {root}, found none. For other layouts '
            'name the labels too: a folder of label images, or a file in COCO\'s format.')
    found = _collect(root, category, ((_only_image(folder), _objects_of_masks(folder))
                                      for folder in folders))
    areas = {image['id']: image['width'] * image['height'] for image in found.images}
    if num_large := sum(x['area'] > _MOST * areas[x['image_id']] for x in found.annotations):
        found.notes.append(f'WARNING: {num_large} of {len(found.annotations)} masks cover more '
                           'than half of their picture: if they mark the background, invert them.')
    return found


def _only_image(folder: Path) -> Path:
    paths = _image_files(folder / 'images')
    if len(paths) != 1:
        raise ValueError(f'Expected one picture in {folder / "images"}, found {len(paths)}.')
    return paths[0]


def _objects_of_masks(folder: Path) -> Callable[[tuple[int, int]], Iterator[np.ndarray]]:
    def read(size: tuple[int, int]) -> Iterator[np.ndarray]:
        for path in _image_files(folder / 'masks'):
            _check_size(path, size, folder)
            yield _read(read_object_mask, path)
    return read


def _read_label_images(images: Path, labels: Path, category: str,
                       components: bool) -> LabelledImages:
    by_name = {path.relative_to(labels).with_suffix(''): path for path in _image_files(labels)}
    paths = _image_files(images)
    pairs = [(path, by_name.pop(path.relative_to(images).with_suffix(''), None)) for path in paths]
    labelled = [(path, label) for path, label in pairs if label is not None]
    if not labelled:
        raise ValueError(f'No label image in {labels} has the name of an image in {images}: '
                         'expected the same names but for their endings.')
    if not components:
        _check_told_apart([label for _, label in labelled])
    found = _collect(images, category, (
        (path, _objects_of_label_image(label, components)) for path, label in labelled))
    if len(labelled) < len(paths):
        found.notes.append(f'{len(paths) - len(labelled)} images have no label image: left out.')
    if by_name:
        found.notes.append(f'{len(by_name)} label images have no image, such as '
                           f'{next(iter(by_name.values()))}: left out.')
    return found


def _objects_of_label_image(path: Path, components: bool
                            ) -> Callable[[tuple[int, int]], Iterator[np.ndarray]]:
    def read(size: tuple[int, int]) -> Iterator[np.ndarray]:
        _check_size(path, size, path.parent)
        values = read_label_image(path)
        if components:
            values = ndimage.label(values)[0]
        for value in np.unique(values[values > 0]):
            yield values == value
    return read


def read_label_image(path: Path) -> np.ndarray:
    """The values of a label image, (H, W) integers.

    Raises:
        ValueError: If its format cannot hold labels, or 8 bits have cut some off.
    """
    if path.suffix.lower() in _LOSSY:
        raise ValueError(f'{path} is a JPEG, which changes values: expected label images as PNG or '
                         'TIFF.')
    values = _read(read_values, path)
    if values.ndim != 2:
        raise ValueError(f'{path} is a colour picture of {values.shape[-1]} channels, expected a '
                         'label image: one channel, 0 for the background and another value for '
                         'each object.')
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind == 'f' and not np.array_equal(values, np.round(values)):
        raise ValueError(f'{path} has fractional values, expected whole numbers as labels.')
    if values.dtype == np.uint8 and len(np.unique(values)) > _ALL_OF_8_BITS:
        raise ValueError(f'{path} uses all values of 8 bits: labels above 255 were cut off. Store '
                         'it again with 16 bits.')
    return values.astype(np.int64)


def _check_told_apart(paths: Sequence[Path]) -> None:
    """Raise ValueError if the label images are masks, in which objects are not told apart."""
    for path in paths:
        values = read_label_image(path)
        if len(np.unique(values[values > 0])) > 1:
            return
        num_places = ndimage.label(values)[1]
        if num_places > 1:
            break
    else:
        return
    if all(len(np.unique(read_label_image(path))) <= 2 for path in paths):
        raise ValueError(f'{path} has one value at {num_places} separate places, and so have all '
                         'label images: masks, which do not tell objects apart. --components '
                         'makes each separate place an object.')


def _collect(root: Path, category: str, pairs: Iterable[tuple[Path, Callable]]) -> LabelledImages:
    found = LabelledImages(root, [], [], [dict(id=1, name=category)])
    num_empty = num_overlapping = 0
    for path, read in pairs:
        width, height = _read(shown_size, path)
        number, covered = len(found.images) + 1, np.zeros((height, width), bool)
        found.images.append(dict(id=number, file_name=path.relative_to(root).as_posix(),
                                 width=width, height=height))
        overlaps = False
        for mask in read((width, height)):
            if not mask.any():
                num_empty += 1
                continue
            overlaps |= bool((covered & mask).any())
            covered |= mask
            found.annotations.append(dict(id=len(found.annotations) + 1, image_id=number,
                                          category_id=1, iscrowd=0, **describe_mask(mask)))
        num_overlapping += overlaps
    if num_empty:
        found.notes.append(f'{num_empty} masks are empty: left out.')
    if num_overlapping:
        found.notes.append(f'Objects overlap on {num_overlapping} images: kept as they are.')
    return found


def _check_size(path: Path, size: tuple[int, int], expected_by: Path) -> None:
    width, height = _read(shown_size, path)
    if (width, height) != size:
        raise ValueError(f'{path} has {width} x {height} pixels, expected {size[0]} x {size[1]} '
                         f'({expected_by}): labels and pictures must have one size.')


def _read(reader: Callable[[Path], _Content], path: Path) -> _Content:
    try:
        return reader(path)
    except ValueError as error:
        raise ValueError(f'{path} cannot be read ({error}): mend it, or take it out.') from error


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('*')
                  if path.is_file() and path.name.lower().endswith(EXTENSIONS))
