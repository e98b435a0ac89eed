"""Loading images of which a few may be broken."""
from __future__ import annotations

import os
from hashlib import blake2b

import cv2
import mmcv
import numpy as np
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from mmengine.logging import MMLogger
from torch.utils.data import get_worker_info

from ...registry import TRANSFORMS
from ..image_reader import check_whole, decode_image, first_line, images_below, shown_name
from .fast_crop import FastCrop

_MAX_WORKERS = 256
_CAPACITY = 1 << 16


class BadImages:
    """A set of unreadable images, and a count of the loaded ones, common to all workers.

    They live in memory that the workers of one process share. Nothing is locked: each worker
    counts in its own place, and a path that two workers add at once is added again later.
    """

    def __init__(self) -> None:
        self._loads = torch.zeros(_MAX_WORKERS, dtype=torch.int64).share_memory_()
        self._hashes = torch.zeros(_CAPACITY, dtype=torch.int64).share_memory_()

    def count_load(self) -> None:
        """Note that one more image is loaded, readable or not."""
        worker = get_worker_info()
        self._loads[0 if worker is None else worker.id % _MAX_WORKERS] += 1

    def add(self, path: str) -> bool:
        """Note an unreadable image.

        Returns:
            Whether it is a new one.
        """
        key = int.from_bytes(blake2b(os.fsencode(path), digest_size=7).digest(), 'big') + 1
        for step in range(_CAPACITY):
            place = (key + step) % _CAPACITY
            if self._hashes[place] == key:
                return False
            if self._hashes[place] == 0:
                self._hashes[place] = key
                return True
        return False

    @property
    def num_loads(self) -> int:
        """Images loaded so far, in all epochs of this run."""
        return int(self._loads.sum())

    def __len__(self) -> int:
        return int(self._hashes.count_nonzero())

    def __deepcopy__(self, memo: dict) -> BadImages:
        return self     # a copy of a data set, for example a subset, is of the same training


_REDUCED_COLOR = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4,
                  8: cv2.IMREAD_REDUCED_COLOR_8}


@TRANSFORMS.register_module()
class LoadRobustImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` for all kinds of pictures, which skips an unreadable one.

    It gives None for it, and mmengine's data sets then load another one (in ``test_mode`` they
    stop). Each is logged once by its path. A JPEG or PNG that was cut off counts as unreadable:
    OpenCV would fill it up with grey. It is told by the end mark of the format, which costs
    microseconds.

    Pictures are read as everywhere in this package, see :func:`addp_mm.datasets.image_reader.
    decode_image`, unless ``color_type`` or ``imdecode_backend`` name another way.

    Args:
        crop: Config of a ``RandomResizedCrop`` to load only a crop, about twice as fast as the two
            steps one after the other. The draws are the same, the pixels nearly; see
            :class:`FastCrop`.
        max_bad_share: Largest share of unreadable images among the loaded ones.
        min_bad_allowed: So many unreadable images are always allowed.
        **kwargs: Arguments of ``LoadImageFromFile``.

    Raises:
        ValueError: If more images than allowed are unreadable, or the crop is one that cannot be
            loaded alone.
    """

    def __init__(self, crop: dict | None = None, max_bad_share: float = 0.001,
                 min_bad_allowed: int = 10, **kwargs) -> None:
        super().__init__(**kwargs)
        self.crop = None if crop is None else FastCrop(TRANSFORMS.build(crop))
        self.max_bad_share = max_bad_share
        self.min_bad_allowed = min_bad_allowed
        self._bad_images = BadImages()

    def transform(self, results: dict) -> dict | None:
        """Load an image.

        Args:
            results: ``img_path``: the file. An image that is there already under ``img``, as
                mmpretrain's inferencers load it, stays.

        Returns:
            ``results`` with ``img`` (H, W, 3) BGR, ``img_shape`` (H, W), and ``ori_shape`` of the
            whole image; None if the image is unreadable.
        """
        if 'img' in results and 'img_path' not in results:
            return results
        self._bad_images.count_load()
        try:
            image, ori_shape = self._load(results['img_path'])
        # Whatever a file system or decoder raises; a fault of the whole data stops below.
        except Exception as error:
            self._note(results['img_path'], error)
            return None
        results.update(img=image, img_shape=image.shape[:2], ori_shape=ori_shape)
        return results

    def _load(self, path: str) -> tuple[np.ndarray, tuple[int, int]]:
        """The image or its crop, and height and width of the whole image."""
        data = fileio.get(path, backend_args=self.backend_args)
        check_whole(data)
        if self.crop is None:
            image = self._decode(data)
            ori_shape = image.shape[:2]
        else:
            image, ori_shape = self.crop(data, self._decode, self._reads_as_everywhere)
        return image.astype(np.float32) if self.to_float32 else image, ori_shape

    @property
    def _reads_as_everywhere(self) -> bool:
        return (self.color_type, self.imdecode_backend) == ('color', 'cv2')

    def _decode(self, data: bytes, factor: int = 1) -> np.ndarray:
        if factor == 1 and self._reads_as_everywhere:
            return decode_image(data, channel_order='bgr')
        flag = _REDUCED_COLOR.get(factor, self.color_type)
        image = mmcv.imfrombytes(data, flag=flag, backend=self.imdecode_backend)
        if image is None:
            raise ValueError('not an image')
        return image

    def _note(self, path: str, error: Exception) -> None:
        if not self._bad_images.add(path):
            return
        num_bad, num_loads = len(self._bad_images), self._bad_images.num_loads
        # As an error, because processes other than the first show no warnings.
        MMLogger.get_current_instance().error(
            f'Unreadable image, skipped: {shown_name(path)} ({first_line(error)}). It is number '
            f'{num_bad} among {num_loads} loaded images.')
        if num_bad > max(self.min_bad_allowed, self.max_bad_share * num_loads):
            raise ValueError(
                f'{num_bad} of {num_loads} loaded images are unreadable, the last one is '
                f'{shown_name(path)} '
                f'({first_line(error)}). More than {self.max_bad_share:.2%} and '
                f'{self.min_bad_allowed} are not skipped. List them all with '
                'python -c "from addp_mm.datasets.transforms import log_unreadable; '
                'log_unreadable(\'FOLDER\')", then mend or remove them, or raise max_bad_share of '
                'LoadRobustImage in the pipeline.')


def log_unreadable(folder: str | os.PathLike) -> list[str]:
    """Try every file below a folder and log the unreadable ones.

    Args:
        folder: A folder of images; files that are no images count as unreadable.

    Returns:
        Their paths.
    """
    logger, loader = MMLogger.get_current_instance(), LoadRobustImage()
    paths = [str(path) for path in images_below(folder, endings=('', ))]
    unreadable = []
    for path in paths:
        try:
            loader._load(path)
        except Exception as error:      # as above
            logger.error(f'{shown_name(path)}: {first_line(error)}')
            unreadable.append(path)
    logger.info(f'{len(unreadable)} of {len(paths)} files in {folder} are unreadable.')
    return unreadable
