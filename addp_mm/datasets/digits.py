"""Real handwritten digits as image files, for pipelines that must fit a laptop's CPU."""
from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from mmengine.logging import print_log
from PIL import Image

from ..name_lists import listed

NUM_VAL = 297
_MAX_INK = 16
_MARKER = 'complete.txt'


def write_digits(folder: str | Path, image_size: int = 32) -> Path:
    """Write scikit-learn's 1,797 handwritten digits as PNG files in ImageNet's layout.

    ``folder/{train,val}/<digit>/<index>.png``: 1,500 and 297 images, white on black, enlarged from
    8 x 8 pixels by bicubic interpolation. The split is the same every time, with the same share of
    each digit in both parts. A folder that is complete is left as it is; what an interrupted call
    left is written again.

    Source: UCI "Optical Recognition of Handwritten Digits", test set, as in scikit-learn.

    Args:
        folder: Where the images go; made if it does not exist.
        image_size: Height and width of the images, at least 8.

    Returns:
        ``folder``.

    Raises:
        ValueError: If ``image_size`` is smaller than 8, or ``folder`` holds other files.
        ModuleNotFoundError: If scikit-learn is missing.
    """
    if image_size < 8:
        raise ValueError(f'image_size must be at least 8 (the digits\' own), got {image_size}.')
    folder = Path(folder)
    marker = folder / _MARKER
    text = f'{image_size} x {image_size} pixels\n'
    if marker.is_file() and marker.read_text() == text:
        return folder
    _check_folder(folder)
    marker.unlink(missing_ok=True)
    pixels, labels = load_digits()
    for part, indices in split_digits(labels).items():
        shutil.rmtree(folder / part, ignore_errors=True)
        for index in indices:
            path = folder / part / str(labels[index]) / f'{index:04d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            _enlarge(pixels[index], image_size).save(path)
    marker.write_text(text)
    print_log(f'Wrote {len(labels)} handwritten digits of {text.strip()} to {folder}.', 'current')
    return folder


def _check_folder(folder: Path) -> None:
    """Only what this module wrote may be overwritten."""
    ours = {_MARKER, 'train', 'val'}
    others = sorted({p.name for p in folder.glob('*')} - ours)
    if others:
        raise ValueError(f'{folder} holds other files ({listed(others)}): name an empty '
                         'folder for the digits.')


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 8, 8) in 0 to 16 and labels (1797,)."""
    try:
        from sklearn.datasets import load_digits as load
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'The handwritten digits come with scikit-learn, which is not installed: '
            'pip install scikit-learn') from error
    digits = load()
    return digits.images, digits.target


def split_digits(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of each part, ascending: held out are even spaces of a list sorted by digit."""
    order = np.argsort(labels, kind='stable')
    held_out = np.linspace(0, len(order) - 1, NUM_VAL).round().astype(int)
    val = np.sort(order[held_out])
    return dict(train=np.setdiff1d(order, val), val=val)


def _enlarge(ink: np.ndarray, image_size: int) -> Image.Image:
    image = Image.fromarray((ink * (255 / _MAX_INK)).round().astype(np.uint8))
    return image.resize((image_size, image_size), Image.Resampling.BICUBIC)
