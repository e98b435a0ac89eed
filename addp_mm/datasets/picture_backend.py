"""The one reader of pictures for the libraries' own ``LoadImageFromFile``, as a file backend."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from mmengine.fileio import LocalBackend, register_backend

from .grey_range import is_grey, stretched
from .image_reader import check_whole, decode_image, format_of, open_picture, shown_name

_BY_OPENCV = ('JPEG', 'MPO')


class PictureBackend(LocalBackend):
    """mmengine's backend for local files, which gives the content of pictures as OpenCV reads it.

    A JPEG stays as it is. Any other picture becomes a bitmap of the pixels that
    :func:`decode_image` gives, upright RGB of 8 bits. The pipelines of detection and segmentation
    name it, and the libraries' inferencers take it over from there::

        dict(type='LoadImageFromFile', backend_args=dict(backend='addp_pictures'))

    Args:
        stretch: Stretch grey pictures to their range, as ``train_from_folder.py --stretch`` does.
    """

    def __init__(self, stretch: bool = False) -> None:
        self.stretch = stretch

    def get(self, filepath: str | Path) -> bytes:
        """Read a picture.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is not a picture, or is cut off; the message names the file.
        """
        data = super().get(filepath)
        try:
            return _stretched_grey(data) if self.stretch else _as_opencv_reads(data)
        except ValueError as error:
            raise ValueError(f'{shown_name(filepath)} cannot be read ({error}): mend the file, or '
                             'take it out of the data.') from error


def _stretched_grey(data: bytes) -> bytes:
    with open_picture(data) as image:
        if not is_grey(image):
            return _as_opencv_reads(data)
        return cv2.imencode('.bmp', np.asarray(stretched(image)))[1].tobytes()


def _as_opencv_reads(data: bytes) -> bytes:
    check_whole(data)
    if format_of(data) in _BY_OPENCV:
        return data
    return cv2.imencode('.bmp', decode_image(data, channel_order='bgr'))[1].tobytes()


register_backend('addp_pictures', PictureBackend, force=True)
