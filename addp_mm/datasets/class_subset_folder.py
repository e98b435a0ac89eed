"""Images of some classes of a larger set: ImageNet-A, -R, -Sketch and -C."""
from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mmengine.fileio import get_file_backend
from mmpretrain.datasets.categories import IMAGENET_CATEGORIES

from ..name_lists import listed
from ..registry import DATASETS
from .image_folder import ImageFolder
from .image_list import ImageList

# timm's files of WordNet ids, one a line, in the order of a classifier's outputs.
CLASS_LISTS = {
    'imagenet-1k': 'imagenet_synsets.txt',
    'imagenet-a': 'imagenet_a_synsets.txt',
    'imagenet-r': 'imagenet_r_synsets.txt',
}


@cache
def class_list(name: str) -> tuple[str, ...]:
    """Read the WordNet ids of a data set's classes from what timm ships.

    Args:
        name: 'imagenet-1k' (1000 classes, also those of ImageNet-C and ImageNet-Sketch),
            'imagenet-a' or 'imagenet-r' (200 of them, not the same ones).

    Returns:
        The ids, such as 'n01440764', sorted.

    Raises:
        ValueError: If the name is unknown, or timm is missing or does not have the list.
    """
    if name not in CLASS_LISTS:
        raise ValueError(f'Unknown list of classes {name!r}, expected one of {list(CLASS_LISTS)} '
                         'or the names themselves.')
    timm = find_spec('timm')     # importing it would take seconds
    origin = timm.origin if timm else None
    path = origin and Path(origin).parent / 'data' / '_info' / CLASS_LISTS[name]
    if not path or not path.is_file():
        raise ValueError(f'The classes of {name} are read from timm, which has no '
                         f'{CLASS_LISTS[name]} here: pip install "timm>=1.0".')
    return tuple(path.read_text(encoding='utf-8').split())




@DATASETS.register_module()
class ClassSubsetFolder(ImageFolder):
    """Images in one folder for each class, labelled in the order of all classes of a larger set.

    The labels are the columns of the logits of a classifier of the larger set, whichever classes
    the folder has; the metainfo ``class_indices`` lists those. ``ClassSubsetAccuracy`` reads it.

    Args:
        subset: The classes that the folder must have, neither more nor fewer: 'imagenet-1k'
            (also for ImageNet-C and -Sketch), 'imagenet-a' or 'imagenet-r', from timm's lists;
            or the names of the folders; None: those that are there.
        class_names: Names of the folders of all classes, in the order of the classifier's
            outputs. None: the 1000 WordNet ids of ImageNet-1k.
        **kwargs: Arguments of :class:`ImageFolder`: ``data_root``, ``pipeline``, ``test_mode``...

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If its class folders are not those of the subset, or one has no image.
    """

    def __init__(self, subset: str | Sequence[str] | None,
                 class_names: Sequence[str] | None = None, **kwargs) -> None:
        self.subset = subset
        self.class_names = class_list('imagenet-1k') if class_names is None else class_names
        shown = IMAGENET_CATEGORIES if class_names is None else class_names
        super().__init__(with_label=True, metainfo=dict(classes=tuple(shown)), **kwargs)

    def load_data_list(self) -> ImageList:
        """Find the images: ``img_path`` and ``gt_label``, the class's place among all classes."""
        self._check_source()
        labels = class_folders(self.img_prefix, self.class_names, self.subset)
        images = ImageList(self.img_prefix, self._samples_of(labels))
        if images.labels is None:
            raise self._no_images()
        found = set(images.labels.tolist())
        empty = sorted(name for name, label in labels.items() if label not in found)
        if empty:
            raise ValueError(f'No images in {len(empty)} of {len(labels)} class folders of '
                             f'{self.img_prefix}: {listed(empty)}. Copy or unpack them again.')
        self._metainfo['class_indices'] = tuple(sorted(labels.values()))
        return images


def class_folders(root: str | Path, class_names: Sequence[str],
                  subset: str | Sequence[str] | None = None) -> dict[str, int]:
    """Find the class folders of a data set and see that they are the expected ones.

    Args:
        root: The folder that holds them; files in it are ignored.
        class_names: Names of all classes, in the order of the classifier's outputs.
        subset: As of :class:`ClassSubsetFolder`.

    Returns:
        The place in ``class_names`` of each folder, by its name.

    Raises:
        ValueError: If a class has no folder, or a folder no class.
    """
    backend = get_file_backend(str(root), enable_singleton=True)
    found = sorted(backend.list_dir_or_file(str(root), list_file=False))
    if subset is None:
        what, expected = 'the known classes', set(class_names)
        missing = set() if found else expected
    else:
        what = f'the classes of {subset}' if isinstance(subset, str) else 'the classes asked for'
        expected = set(class_list(subset) if isinstance(subset, str) else subset)
        missing = expected - set(found)
    foreign = set(found) - expected
    if missing or foreign:
        raise ValueError(
            f'The {len(found)} folders in {root} do not match {what}, of which there are '
            f'{len(expected)}: {len(missing)} are missing{_listing(missing)}, {len(foreign)} are '
            f'of no such class{_listing(foreign)}. Name the folder that holds the class folders '
            'of this data set, or unpack it again.')
    unknown = expected - set(class_names)
    if unknown and subset is not None:
        raise ValueError(f'The classifier has {len(class_names)} classes, among which '
                         f'{listed(sorted(unknown))} of the subset are not: choose the classifier '
                         'that the subset was made for.')
    places = {name: place for place, name in enumerate(class_names)}
    return {name: places[name] for name in found}


def _listing(names: Collection[str]) -> str:
    return f' ({listed(sorted(names))})' if names else ''
