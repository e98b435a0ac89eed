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
from ..datasets.image_reader import images_below, read_values, shown_size
from .coco_labels import complete_objects, read_coco_file
from .object_masks import check_one_page, read_object_mask

CATEGORY = 'object'     # a name where the labels have none
MAX_CATEGORIES = 254    # of maps with 8 bits, beside the background
_LOSSY = ('.jpg', '.jpeg')
_ALL_OF_8_BITS = 255
_MOST = 0.5             # of a picture or of all objects: more is unusual
_WHOLE = 0.9            # of an object's pixels at one place: the others are specks
_WITH_CORNERS = np.ones((3, 3))     # pixels that touch at a corner are one place
_Content = TypeVar('_Content')
_Places = tuple[Path, int, float]   # of a value in a label image, see _find_places


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


def read_labels(images: Path, labels: Path | None, category: str = CATEGORY,
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
    found.notes += _unused(found, labels, category, components)
    if not found.annotations:
        raise ValueError(f'There is no object in {labels or images}, expected at least one.')
    return found


def _unused(found: LabelledImages, labels: Path | None, category: str,
            components: bool) -> list[str]:
    """Notes on what was asked for and does not matter in this layout."""
    is_coco, notes = labels is not None and labels.is_file(), []
    if components and (labels is None or is_coco):
        notes.append('WARNING: --components is for label images and changes nothing here.')
    if is_coco and category not in (CATEGORY, *(x['name'] for x in found.categories)):
        notes.append(f'WARNING: --category {category} changes nothing: {labels} has names.')
    return notes


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
        found.notes.append(f'{num} objects had no area, an area of 0 or no iscrowd: filled in.')
    found.annotations = completed
    if any(annotation['id'] == 0 for annotation in completed):
        found.annotations = [{**x, 'id': number} for number, x in enumerate(completed, 1)]
        found.notes.append('The objects were numbered anew, from 1: COCO\'s scores count one with '
                           'the id 0 as missed even where it is found.')
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
    paths = images_below(folder / 'images')
    if len(paths) != 1:
        raise ValueError(f'Expected one picture in {folder / "images"}, found {len(paths)}.')
    return paths[0]


def _objects_of_masks(folder: Path) -> Callable[[tuple[int, int]], Iterator[np.ndarray]]:
    def read(size: tuple[int, int]) -> Iterator[np.ndarray]:
        for path in images_below(folder / 'masks'):
            _check_size(path, size, folder)
            yield _read(read_object_mask, path)
    return read


def _read_label_images(images: Path, labels: Path, category: str,
                       components: bool) -> LabelledImages:
    by_name = _by_name(labels)
    paths = images_below(images)
    pairs = [(path, by_name.pop(path.relative_to(images).with_suffix(''), None)) for path in paths]
    labelled = [(path, label) for path, label in pairs if label is not None]
    if not labelled:
        raise ValueError(f'No label image in {labels} has the name of an image in {images}: '
                         'expected the same names but for their endings.')
    places: list[_Places] = []
    found = _collect(images, category, (
        (path, _objects_of_label_image(label, components, places)) for path, label in labelled))
    if not components:
        _check_told_apart(places)
    if len(labelled) < len(paths):
        found.notes.append(f'{len(paths) - len(labelled)} images have no label image: left out.')
    if by_name:
        found.notes.append(f'{len(by_name)} label images have no image, such as '
                           f'{next(iter(by_name.values()))}: left out.')
    return found


def _by_name(labels: Path) -> dict[Path, Path]:
    """The label images by their names without endings. Pictures beside them may be JPEG files.

    Raises:
        ValueError: If two label images have one name.
    """
    found: dict[Path, Path] = {}
    for path in sorted(images_below(labels), key=lambda path: not _is_lossy(path)):
        name = path.relative_to(labels).with_suffix('')
        if name in found and not _is_lossy(found[name]):
            raise ValueError(f'{found[name]} and {path} have one name but for their endings, '
                             'expected one label image a picture: take one of them out.')
        found[name] = path
    return found


def _is_lossy(path: Path) -> bool:
    return path.suffix.lower() in _LOSSY


def _objects_of_label_image(path: Path, components: bool, places: list[_Places]
                            ) -> Callable[[tuple[int, int]], Iterator[np.ndarray]]:
    """What gives the masks of its objects; where their values lie is added to ``places``."""
    def read(size: tuple[int, int]) -> Iterator[np.ndarray]:
        _check_size(path, size, path.parent)
        values = read_label_image(path)
        if components:
            values = ndimage.label(values)[0]
        else:
            places.extend((path, *place) for place in _find_places(values))
        for value in np.unique(values[values > 0]):
            yield values == value
    return read


def read_label_image(path: Path) -> np.ndarray:
    """The values of a label image, (H, W) integers.

    Raises:
        ValueError: If its format cannot hold labels, or 8 bits have cut some off.
    """
    if _is_lossy(path):
        raise ValueError(f'{path} is a JPEG, which changes values: expected label images as PNG or '
                         'TIFF.')
    _read(check_one_page, path)
    values = _read(read_values, path)
    if values.ndim != 2:
        raise ValueError(f'{path} is a colour picture of {values.shape[-1]} channels, expected a '
                         'label image: one channel, 0 for the background and another value for '
                         'each object.')
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError(f'{path} has values that are negative or no finite numbers, expected 0 '
                         'for the background and a positive number for each object.')
    if values.dtype.kind == 'f' and not np.array_equal(values, np.round(values)):
        raise ValueError(f'{path} has fractional values, expected whole numbers as labels.')
    if values.dtype == np.uint8 and len(np.unique(values)) > _ALL_OF_8_BITS:
        raise ValueError(f'{path} uses all values of 8 bits: labels above 255 were cut off. Store '
                         'it again with 16 bits.')
    return values.astype(np.int64)


def _check_told_apart(found: Sequence[_Places]) -> None:
    """Raise ValueError if label images are masks or maps of classes, not of objects."""
    several = [(path, num, share) for path, num, share in found if num > 1]
    num_parted = sum(share < _WHOLE for _, _, share in several)
    are_masks = len(found) == len({path for path, *_ in found})
    if several and (are_masks or num_parted > _MOST * len(found)):
        path, num, _ = several[0]
        raise ValueError(f'{path} has one value at {num} separate places, and of all values in all '
                         f'label images {len(several)} of {len(found)} lie so: masks or maps of '
                         'classes, which do not tell objects apart. --components makes each '
                         'separate place an object.')


def _find_places(values: np.ndarray) -> Iterator[tuple[int, float]]:
    """At how many separate places each value of a label image (H, W) lies.

    Yields:
        That, and the share of the value's pixels that lie at the largest place.
    """
    numbers, compact = np.unique(values, return_inverse=True)
    compact = compact.reshape(values.shape) + (0 if numbers[0] == 0 else 1)
    for number, part in enumerate(ndimage.find_objects(compact), 1):
        labelled = ndimage.label(compact[part] == number, _WITH_CORNERS)[0]
        sizes = np.bincount(labelled.flat)[1:]
        yield len(sizes), sizes.max() / sizes.sum()


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
