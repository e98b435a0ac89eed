"""Images in a folder."""
from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from mmengine import fileio
from mmengine.fileio import get_file_backend
from mmengine.logging import MMLogger
from mmpretrain.datasets import CustomDataset, ImageNet

from ..name_lists import listed
from ..registry import DATASETS
from .image_list import ImageList, Sample, files_below
from .image_reader import EXTENSIONS, UNREAD_EXTENSIONS, shown_name
from .text_lists import lines_of


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """mmpretrain's ``CustomDataset`` of all images below a folder, without labels.

    Args:
        with_label: Take the names of the first level of folders as classes.
        num_classes: How many classes there must be, each with an image; with labels only. A
            missing one would shift the labels of those after it.
        labels_per_class: Keep so many images of each class, with labels only; None keeps all.
        labels_seed: Seed of their choice. It depends on nothing else, so that trainings with other
            seeds or settings can share it.
        extensions: Endings of the files that are images, lower or upper case.
        **kwargs: Arguments of ``CustomDataset``: ``data_root``, ``data_prefix``, ``ann_file`` (a
            list of files), ``pipeline``, ``test_mode``...

    Raises:
        FileNotFoundError: If the folder or the list does not exist.
        ValueError: If no image is in it, a class is missing, empty or has too few images, or the
            names in ``metainfo`` are those of the folders in another order; in ``test_mode`` also
            for an unreadable image.
    """

    def __init__(self, with_label: bool = False, num_classes: int | None = None,
                 labels_per_class: int | None = None, labels_seed: int = 0,
                 extensions: tuple[str, ...] = EXTENSIONS, **kwargs) -> None:
        if not with_label and (num_classes, labels_per_class) != (None, None):
            raise ValueError('num_classes and labels_per_class need labels: set with_label=True.')
        if labels_per_class is not None and labels_per_class < 1:
            raise ValueError(f'labels_per_class must be at least 1, got {labels_per_class}.')
        self.num_classes = num_classes
        self.labels_per_class = labels_per_class
        self.labels_seed = labels_seed
        self._unread: set[str] = set()
        # mmengine would write every dictionary into one array: an ImageList is smaller.
        super().__init__(with_label=with_label, extensions=extensions,
                         **{'serialize_data': False, **kwargs})

    def load_data_list(self) -> ImageList:
        """Find the images: ``img_path``, with labels also ``gt_label``."""
        self._check_source()
        if self.with_label and not self.ann_file:
            self._check_class_folders()
        try:
            images = ImageList(self.img_prefix, self._samples())
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise ValueError(f'{shown_name(self.img_prefix)} holds a link that leads up again, so '
                             'that its images would count many times: remove the link.') from error
        if not images:
            raise self._no_images()
        if self._unread:
            MMLogger.get_current_instance().warning(
                f'{self.img_prefix} also holds {self._listed_unread()}')
        if images.labels is None:
            return images
        by_class = self._by_class(images.labels)
        if self.labels_per_class is None:
            return images
        return images.take(i for indices in by_class
                           for i in self._chosen(images.labels, indices, self.labels_per_class))

    def _samples(self) -> Iterator[Sample]:
        """Name and label of each image, from the list or from the folder."""
        if self.ann_file:
            yield from self._listed()
            return
        backend = get_file_backend(self.img_prefix, enable_singleton=True)
        if not self.with_label:
            names = files_below(backend, self.img_prefix)
            yield from ((name, None) for name in names if self.is_valid_file(name))
            return
        classes = sorted(backend.list_dir_or_file(self.img_prefix, list_file=False))
        self._metainfo.setdefault('classes', tuple(classes))
        self._check_order(classes)
        self.folder_to_idx = {name: label for label, name in enumerate(classes)}
        yield from self._samples_of(self.folder_to_idx)

    def _samples_of(self, labels: Mapping[str, int]) -> Iterator[Sample]:
        """The images of some class folders, which have these labels, by the folders' names."""
        backend = get_file_backend(self.img_prefix, enable_singleton=True)
        for folder, label in sorted(labels.items()):
            names = files_below(backend, backend.join_path(self.img_prefix, folder), f'{folder}/')
            yield from ((name, label) for name in names if self.is_valid_file(name))

    def _listed(self) -> Iterator[Sample]:
        for line in lines_of(fileio.get(self.ann_file)):
            name, _, label = line.strip().rpartition(' ')
            if not self.with_label:
                yield line, None
            elif name and label.isdecimal():
                yield name, int(label)
            else:
                raise ValueError(f'{self.ann_file} has the line {shown_name(line)!r}, expected the '
                                 'name of an image, a blank and the number of its class.')

    def is_valid_file(self, filename: str) -> bool:
        """Whether a name ends like that of an image; what macOS writes beside it is none."""
        name = filename.rpartition('/')[2].lower()
        if name.endswith(UNREAD_EXTENSIONS):
            self._unread.add(filename)
        return name.endswith(self.extensions) and not name.startswith('.')

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline for one image; None in training if the image is unreadable."""
        data = super().prepare_data(idx)
        if data is None and self.test_mode:
            path = shown_name(self.get_data_info(idx)['img_path'])
            raise ValueError(f'{path} is unreadable, and in an evaluation no image may be left '
                             'out. Mend the file, or remove it from the data.')
        return data

    def _check_source(self) -> None:
        source = self.ann_file or self.img_prefix
        backend = get_file_backend(source, enable_singleton=True)
        # Not every storage can tell.
        exists = getattr(backend, 'isfile' if self.ann_file else 'isdir', None)
        if exists is not None and not exists(source):
            kind = 'list of images' if self.ann_file else 'folder of images'
            here = '' if os.path.isabs(source) else f' (from the working folder {os.getcwd()})'
            raise FileNotFoundError(
                f'Expected a {kind} at {source.rstrip("/")}{here}, there is none. Set data_root '
                'and data_prefix of the data set, for example --cfg-options '
                'train_dataloader.dataset.data_root=/path/to/imagenet.')

    def _check_class_folders(self) -> None:
        backend = get_file_backend(self.img_prefix, enable_singleton=True)
        found = sorted(backend.list_dir_or_file(self.img_prefix, list_file=False))
        expected = self._expected_classes()
        if expected not in (None, len(found)):
            raise ValueError(
                f'Expected a folder for each of {expected} classes in {self.img_prefix}, found '
                f'{len(found)} ({listed(found)}). Add what is missing, or set '
                'num_classes of the data sets and model.head.num_classes.')

    def _check_order(self, folders: list[str]) -> None:
        """See that classes that are called by their folders are called by their own."""
        known, names = set(folders), self.CLASSES or ()
        wrong = [(folder, name) for folder, name in zip(folders, names, strict=False)
                 if name != folder and name in known]
        if not wrong:
            return
        folder, name = wrong[0]
        message = (f'metainfo.classes calls the folder {folder!r} of {self.img_prefix} {name!r}, '
                   'which is another folder: labels are given in the order of the folders\' names '
                   f'({listed(folders)}).')
        if set(names) == known:
            raise ValueError(f'{message} Write the classes in this order, or leave them out.')
        MMLogger.get_current_instance().warning(f'{message} Make sure that this is meant.')

    def _expected_classes(self) -> int | None:
        return self.num_classes or (self.CLASSES and len(self.CLASSES))

    def _by_class(self, labels: np.ndarray) -> list[np.ndarray]:
        """The indices of the images of each class.

        Raises:
            ValueError: If a class has none.
        """
        names = self.CLASSES or ()      # of the folders, unless given
        found = set(np.unique(labels).tolist())
        count = self._expected_classes() or max(found) + 1
        missing = sorted(set(range(count)) ^ found)
        if missing:
            label = missing[0]
            raise ValueError(
                f'Expected images of the classes 0 to {count - 1} in '
                f'{self.ann_file or self.img_prefix}, and of no others. '
                f'{len(missing)} labels do not fit, the first is {label}'
                f'{f" ({names[label]})" if label < len(names) else ""}. Its folder or its lines in '
                'the list must be filled, or num_classes changed.')
        order = np.argsort(labels, kind='stable')
        return np.split(order, np.cumsum(np.bincount(labels, minlength=count))[:-1])

    def _chosen(self, labels: np.ndarray, indices: np.ndarray, count: int) -> list[int]:
        """So many of the images of one class, in their order."""
        label = int(labels[indices[0]])
        if len(indices) < count:
            raise ValueError(f'Class {label} of {self.img_prefix} has {len(indices)} images, '
                             f'labels_per_class={count} asks for more.')
        generator = torch.Generator().manual_seed(self.labels_seed * 100_003 + label)
        order = torch.randperm(len(indices), generator=generator)[:count]
        return indices[np.sort(order.numpy())].tolist()

    def _listed_unread(self) -> str:
        return (f'{len(self._unread)} files such as {shown_name(min(self._unread))} (HEIC, JPEG '
                'XL), which cannot be read here: convert them to JPEG or PNG to use them.')

    def _no_images(self) -> ValueError:
        also = f' There are {self._listed_unread()}' if self._unread else ''
        return ValueError(
            f'Expected images in {self.ann_file or self.img_prefix}, found none. Their names must '
            f'end in {", ".join(sorted(self.extensions))} (upper case too); set `extensions` of '
            f'the data set for others.{also}')


@DATASETS.register_module()
class ImageNetFolder(ImageFolder):
    """ImageNet-1k as a folder with one folder for each of the 1000 classes, with labels.

    An :class:`ImageFolder` with the class names of mmpretrain's ``ImageNet``, in the same order.

    Args:
        **kwargs: Arguments of :class:`ImageFolder`.
    """

    METAINFO = ImageNet.METAINFO

    def __init__(self, **kwargs) -> None:
        super().__init__(with_label=True, **kwargs)
