"""Images in a folder."""
from __future__ import annotations

import os

from mmengine.fileio import get_file_backend
from mmpretrain.datasets import CustomDataset

from ..registry import DATASETS

EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')


@DATASETS.register_module()
class ImageFolder(CustomDataset):
    """mmpretrain's ``CustomDataset`` of all images below a folder, without labels.

    Args:
        with_label: Take the names of the first level of folders as classes.
        extensions: Endings of the files that are images, lower or upper case.
        **kwargs: Arguments of ``CustomDataset``: ``data_root``, ``data_prefix``, ``ann_file`` (a
            list of files), ``pipeline``, ``test_mode``...

    Raises:
        FileNotFoundError: If the folder or the list does not exist.
        ValueError: If no image is in it; in ``test_mode`` also for an unreadable image.
    """

    def __init__(self, with_label: bool = False, extensions: tuple[str, ...] = EXTENSIONS,
                 **kwargs) -> None:
        super().__init__(with_label=with_label, extensions=extensions, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Find the images: ``img_path``, with labels also ``gt_label``."""
        self._check_source()
        try:
            data_list = super().load_data_list()
        except RuntimeError as error:       # what the parent raises where it finds no image
            raise self._no_images() from error
        if not data_list:
            raise self._no_images()
        return data_list

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline for one image; None in training if the image is unreadable."""
        data = super().prepare_data(idx)
        if data is None and self.test_mode:
            raise ValueError(
                f'{self.get_data_info(idx)["img_path"]} is unreadable, and in an evaluation no '
                'image may be left out. Mend the file, or remove it from the data.')
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

    def _no_images(self) -> ValueError:
        return ValueError(
            f'Expected images in {self.ann_file or self.img_prefix}, found none. Their names must '
            f'end in {", ".join(sorted(self.extensions))} (upper case too); set `extensions` of '
            'the data set for others.')
