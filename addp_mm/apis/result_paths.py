"""Where an inferencer writes what it found of each image."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ..atomic_write import atomic_write
from .image_input import ImageInput
from .output_folder import save_image


class ResultPaths:
    """The files of some images: ``preds/000000_<name>.npy`` and ``vis/000000_<name>.png``.

    Args:
        folder: The folder.
        images: The images; those that are no files have no name.

    Raises:
        ValueError: If the folder holds results already.
    """

    def __init__(self, folder: str | Path, images: Sequence[ImageInput]) -> None:
        self.folder = Path(folder)
        self.names = [_name(number, image) for number, image in enumerate(images)]
        for part in ('preds', 'vis'):
            if any((self.folder / part).glob('*')):
                raise ValueError(f'{self.folder / part} holds results already: choose another '
                                 'out_dir, or remove it.')

    def save(self, features: Sequence[Tensor | tuple[Tensor, ...]],
             pictures: Sequence[np.ndarray]) -> None:
        """Write the features and the picture of each image."""
        for part in ('preds', 'vis'):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        for name, feature, picture in zip(self.names, features, pictures, strict=True):
            _save_features(feature, self.folder / 'preds' / name)
            save_image(picture, self.folder / 'vis' / f'{name}.png')


def _name(number: int, image: ImageInput) -> str:
    stem = f'_{Path(image).stem}' if isinstance(image, (str, Path)) else ''
    return f'{number:06d}{stem}'


def _save_features(feature: Tensor | tuple[Tensor, ...], path: Path) -> None:
    """One array as ``.npy``, several in their order as ``.npz``."""
    ending = '.npz' if isinstance(feature, tuple) else '.npy'
    with atomic_write(path.with_name(path.name + ending), sync=False) as partial, \
            open(partial, 'wb') as file:
        if isinstance(feature, tuple):
            np.savez(file, *(part.numpy() for part in feature))
        else:
            np.save(file, feature.numpy())
