"""Pictures that a user names or hands over, as tensors: RGB, upright, in [0, 1]."""
from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor

from ..datasets.image_reader import EXTENSIONS, images_below, read_pixels, to_rgb

ImageInput = str | Path | np.ndarray | Image.Image
ImagesInput = ImageInput | Sequence[ImageInput]
_MASK_THRESHOLD = 127
_GREYISH = 32       # most difference of the channels of what is no colour


def list_images(images: ImagesInput) -> list[ImageInput]:
    """One image, several, or those of folders, as a list.

    Args:
        images: What :func:`read_image` takes, a folder, or a list of these. Of a folder all images
            below it are taken, in the order of their names.

    Raises:
        ValueError: If there is no image.
    """
    several: list[ImageInput] = []
    given: list[Any] = list(images) if isinstance(images, (list, tuple)) else [images]
    for image in given:
        several += _of_folder(image) if _is_folder(image) else [image]
    if not several:
        raise ValueError('Expected at least one image, got none.')
    return several


def read_image(image: ImageInput) -> Tensor:
    """Read a picture.

    Args:
        image: A file; a PIL image; or an array (H, W, 3) RGB or (H, W) grey, uint8.

    Returns:
        (3, H, W) float32 in [0, 1]. Transparent places are put on white; how other kinds of files
        are read stands at :func:`addp_mm.datasets.image_reader.decode_image`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a picture.
    """
    return torch.from_numpy(_pixels(image, 'white')).permute(2, 0, 1).float() / 255


def read_mask(mask: ImageInput, size: tuple[int, int]) -> Tensor:
    """Read a mask picture: white (grey values above 127) is to be replaced, the rest is kept.

    Transparent places count as black. Colours count by their grey value; that dark ones such as red
    are kept is warned of.

    Args:
        mask: See :func:`read_image`; also a bool array (H, W), True = to be replaced.
        size: Height and width of the image. A mask of another size but the same proportions, up
            to rounding, is resized without smoothing.

    Returns:
        (H, W) bool.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a picture, or has other proportions than the image.
    """
    if isinstance(mask, np.ndarray) and mask.dtype == bool:
        mask = mask.astype(np.uint8) * 255
    pixels = _pixels(mask, 'black')
    grey = np.array(Image.fromarray(pixels).convert('L'))
    _warn_of_colours(pixels, grey)
    values = torch.from_numpy(grey)
    (height, width), (wanted_height, wanted_width) = values.shape, size
    difference = abs(height * wanted_width - width * wanted_height)
    if 2 * difference > max(height, width, *size):          # more than half a pixel
        raise ValueError(
            f'The mask has {height} x {width} pixels, the image {wanted_height} x {wanted_width}: '
            'expected the same size or at least the same proportions.')
    resized = F.interpolate(values[None, None].float(), size, mode='nearest-exact')[0, 0]
    return resized > _MASK_THRESHOLD


def _warn_of_colours(pixels: np.ndarray, grey: np.ndarray) -> None:
    """Warn of painted places of a mask (H, W, 3) that are kept for their grey value (H, W)."""
    is_coloured = np.ptp(pixels, axis=2) > _GREYISH
    if kept := int((is_coloured & (grey <= _MASK_THRESHOLD)).sum()):
        print_log(f'{kept} pixels of the mask are of a dark colour (grey value at most '
                  f'{_MASK_THRESHOLD}), and kept as black ones are. Paint white what is to be '
                  'replaced.', 'current', logging.WARNING)


def fit_to_model(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring (3, H, W) to the model's size: the largest centred part of its proportions, resized.

    Args:
        image: (3, H, W) in [0, 1].
        size: The model's height and width.

    Returns:
        (3, *size) in [0, 1]; the same values where the size is right already.
    """
    scale = min(side / wanted for side, wanted in zip(image.shape[1:], size, strict=True))
    height, width = (max(1, round(wanted * scale)) for wanted in size)
    top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
    part = image[:, top:top + height, left:left + width]
    if tuple(part.shape[1:]) == tuple(size):
        return part
    return F.interpolate(part[None], size, mode='bicubic', antialias=True)[0].clamp(0, 1)


def _is_folder(image: ImageInput) -> bool:
    return isinstance(image, (str, Path)) and Path(image).is_dir()


def _of_folder(folder: str | Path) -> list[Path]:
    found = images_below(folder)
    if not found:
        raise ValueError(f'There is no image in {folder}: expected files whose names end in '
                         f'{", ".join(EXTENSIONS)}, in any folder below.')
    return found


def _pixels(image: ImageInput, background: str) -> np.ndarray:
    """(H, W, 3) uint8, upright."""
    if isinstance(image, np.ndarray):
        return np.array(_from_array(image).convert('RGB'))
    if isinstance(image, Image.Image):
        return np.array(to_rgb(image, background))
    if not isinstance(image, (str, os.PathLike)):
        raise ValueError('Expected a picture: a file, a PIL image, or a uint8 array (H, W, 3) RGB '
                         f'or (H, W) grey, got a {type(image).__name__}.')
    if not Path(image).is_file():
        raise FileNotFoundError(f'There is no image file {image}.')
    try:
        return read_pixels(image, background)
    except (OSError, ValueError) as error:
        raise ValueError(f'{image} is not a whole image: {error}.') from error


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8 or array.size == 0 or not (
            array.ndim == 2 or array.ndim == 3 and array.shape[2] == 3):
        raise ValueError('Expected a uint8 array (H, W, 3) RGB or (H, W) grey, got '
                         f'{array.dtype} {array.shape}.')
    return Image.fromarray(array)
