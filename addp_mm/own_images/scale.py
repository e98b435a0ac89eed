"""The scale of the crops: that of the images, or that of one object in each."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ..datasets.image_reader import read_pixels

SCALES = ('native', 'object')
NUM_LOOKED_AT = 60
# Of a photograph, half of the variance and more lies between the sixteenths of the picture; of a
# field of cells, a tenth (measured: photographs 0.5 to 0.75, single digits 0.6 to 0.75,
# fluorescent nuclei 0.03 to 0.2, stained tissue 0.07 to 0.35). In between lies the border.
MAX_COARSE_SHARE = 0.4
_GRID, _SIDE = 4, 64
# Crops of the images' own size show the same part again and again.
_MIN_CROPS = 1.5


def choose_scale(paths: Sequence[Path], image_size: int) -> tuple[str, str]:
    """Choose the scale of the crops from some of the pictures.

    Args:
        paths: The images; those that cannot be read are passed over.
        image_size: Side of the crops in pixels.

    Returns:
        'native' where the images are larger than the crops and show many small things, else
        'object'; and a sentence on why.
    """
    places = np.linspace(0, len(paths) - 1, min(NUM_LOOKED_AT, len(paths))).round().astype(int)
    seen = [found for i in places if (found := _look_at(paths[i])) is not None]
    if not seen:
        return 'object', 'Scale object: no image could be read.'
    share, side = np.median(np.array(seen), axis=0)
    if side < _MIN_CROPS * image_size:
        return 'object', (f'Scale object: the shorter side of the images ({side:.0f} pixels) is '
                          f'not much longer than the crops ({image_size}).')
    scale, what = (('native', 'the images show many small things') if share < MAX_COARSE_SHARE
                   else ('object', 'each image shows something large'))
    other = SCALES[1 - SCALES.index(scale)]
    return scale, (f'Scale {scale}: {what} ({share:.0%} of their variance lies between the '
                   f'sixteenths of a picture). If that is wrong, give --scale {other}.')


def coarse_share(image: Image.Image) -> float:
    """Share of an image's variance that lies between the sixteenths of the picture, in [0, 1]."""
    small = image.convert('RGB').resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64)
    means = pixels.reshape(_GRID, _SIDE // _GRID, _GRID, _SIDE // _GRID, 3).mean(axis=(1, 3))
    return float(means.var(axis=(0, 1)).sum() / max(pixels.var(axis=(0, 1)).sum(), 1e-9))


def _look_at(path: Path) -> tuple[float, float] | None:
    try:
        image = Image.fromarray(read_pixels(path))
        return coarse_share(image), min(image.size)
    except Exception:  # whatever a decoder raises; the check of all images names it
        return None
