"""Tokens of a frozen encoder beside the labels of their patches.

Pictures are cut into tiles of the size that the encoder was pre-trained with, without overlap; what
reaches over the border is filled up and not scored.

Shapes: N tiles of S x S pixels, (h, w) patch grid, L = h * w tokens, D dims, P = S / h pixels a
side of a patch.
"""
from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..checkpoints.pretrained_init import load_encoder
from ..datasets.image_reader import read_pixels, read_values
from ..models.layers import IMAGENET_MEAN, IMAGENET_STD
from ..name_lists import listed
from ..registry import MODELS

IGNORED = 255  # the label that is neither learned nor scored, as in mmseg
_IMAGES, _MAPS = 'images', 'annotations'
_LISTS = dict(training='train', validation='val')  # of write_annotations
PARTS = tuple(_LISTS)
_EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff')


@dataclass(frozen=True)
class Picture:
    """A picture and its label map.

    Attributes:
        image: File of the picture.
        labels: File of its label map: one channel of 8 bits, a class for each pixel, 255 for none.
    """

    image: Path
    labels: Path

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """The picture (H, W, 3) RGB and its labels (H, W), both uint8.

        Raises:
            ValueError: If a file is unreadable, or the two do not fit each other.
        """
        image, labels = _read(read_pixels, self.image), _read(read_values, self.labels)
        if labels.ndim != 2 or labels.dtype != np.uint8:
            raise ValueError(f'{self.labels} has the shape {labels.shape} and {labels.dtype} '
                             'values: a label map has one channel of 8 bits, a class a pixel.')
        if labels.shape != image.shape[:2]:
            raise ValueError(f'{self.labels} has {labels.shape} pixels, its picture {self.image} '
                             f'has {image.shape[:2]}: make the label map of the whole picture.')
        return image, labels


def _read(reader: Callable[[Path], np.ndarray], path: Path) -> np.ndarray:
    try:
        return reader(path)
    except (OSError, ValueError) as error:
        raise ValueError(f'{path} is not a readable picture ({error}): mend the file, or take it '
                         'and its partner out of the data.') from error


def find_pictures(root: Path, part: str) -> list[Picture]:
    """The labelled pictures of a part, 'training' or 'validation'.

    Two layouts are read: lists ``root/annotations/{train,val}.txt`` of files in ``root/images``,
    with maps in ``root/annotations/maps`` (``write_annotations``); and folders
    ``root/images/part`` and ``root/annotations/part`` (ADE20K).

    Raises:
        FileNotFoundError: If a folder is missing.
        ValueError: If no picture has a label map.
    """
    names = root / _MAPS / f'{_LISTS[part]}.txt'
    if names.is_file():
        return [Picture(root / _IMAGES / name, root / _MAPS / 'maps' / f'{name}.png')
                for name in names.read_text(encoding='utf-8').splitlines()]
    folders = [root / kind / part for kind in (_IMAGES, _MAPS)]
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f'There is no folder {folder}: expected pictures in '
                                    f'{_IMAGES}/{part} and label maps in {_MAPS}/{part}, or lists '
                                    f'{_MAPS}/train.txt and val.txt, and {_MAPS}/maps.')
    images, maps = (sorted(folder.iterdir()) for folder in folders)
    images = [path for path in images if path.suffix.lower() in _EXTENSIONS]
    map_of = {path.stem: path for path in maps}
    found = [Picture(path, map_of[path.stem]) for path in images if path.stem in map_of]
    if not found:
        raise ValueError(f'No picture of {folders[0]} has a label map of the same name in '
                         f'{folders[1]}: nothing is labelled.')
    for folder, ours, others in zip(folders, (images, maps), (maps, images), strict=True):
        _warn_of_single(folder, ours, others)
    return found


def _warn_of_single(folder: Path, ours: Sequence[Path], others: Sequence[Path]) -> None:
    """Say which files of a folder have no partner of the same name among others."""
    stems = {path.stem for path in others}
    if single := [path.name for path in ours if path.stem not in stems]:
        print_log(f'{len(single)} of {len(ours)} files in {folder} have no partner of the same '
                  f'name and are not used: {listed(single)}.', 'current', logging.WARNING)


def cut_tiles(image: np.ndarray, labels: np.ndarray, size: int) -> tuple[Tensor, Tensor]:
    """Cut a picture into tiles, its border repeated and ignored where a tile reaches over it.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) uint8.
        size: Side S of a tile.

    Returns:
        Tiles (N, 3, S, S) and their labels (N, S, S), uint8.
    """
    below, right = (-side % size for side in labels.shape)
    image = np.pad(image, ((0, below), (0, right), (0, 0)), mode='edge')
    labels = np.pad(labels, ((0, below), (0, right)), constant_values=IGNORED)
    tiles = torch.from_numpy(image).unfold(0, size, size).unfold(1, size, size)
    maps = torch.from_numpy(labels).unfold(0, size, size).unfold(1, size, size)
    return tiles.flatten(0, 1).contiguous(), maps.flatten(0, 1).contiguous()


@dataclass(frozen=True)
class FrozenTokens:
    """Tokens of a frozen encoder beside the labels of their patches.

    Attributes:
        tokens: (N, L, D) float32.
        labels: (N, L, P * P) uint8.
    """

    tokens: Tensor
    labels: Tensor

    @classmethod
    def join(cls, parts: Sequence[FrozenTokens]) -> FrozenTokens:
        """Those of several pictures as one."""
        return cls(torch.cat([part.tokens for part in parts]),
                   torch.cat([part.labels for part in parts]))


@dataclass(frozen=True)
class FrozenEncoder:
    """An encoder with what it reads.

    Attributes:
        encoder: In evaluation mode; its last output is a feature map (N, D, h, w).
        size: Side S of the tiles.
        mean: Mean of each channel, of RGB in 0 to 255.
        std: Standard deviation of each channel.
    """

    encoder: nn.Module
    size: int
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD

    @classmethod
    def from_config(cls, cfg: Config, checkpoint: str | None = None,
                    size: int | None = None) -> FrozenEncoder:
        """The ``model.backbone`` of any config of mmpretrain, mmdet or mmseg.

        Args:
            cfg: The config. Mean and deviation are those of its ``model.data_preprocessor``.
            checkpoint: Its weights, see ``load_encoder``; None: the same random values always.
            size: Side of the tiles; None: the image size of the pre-training, which the config
                must then say.

        Raises:
            ValueError: If the config has no backbone, or does not say the size, or that or the
                weights do not fit.
        """
        model: Mapping[str, Any] = cfg.get('model') or {}
        if 'backbone' not in model:
            raise ValueError(f'The config {cfg.filename or ""} has no model.backbone: name that of '
                             'a pre-training, a classifier, a detector or a segmentor.')
        backbone, preprocessor = dict(model['backbone']), model.get('data_preprocessor') or {}
        if size is not None and size < 1:
            raise ValueError(f'--size must be a positive number of pixels, got {size}.')
        size = _image_size(backbone, preprocessor) if size is None else size
        if size is None:
            raise ValueError(f'The config {cfg.filename or ""} does not say the image size of the '
                             'pre-training: name it as --size.')
        if backbone['type'] == 'ADDPViT':
            backbone.update(img_size=size, out_type='featmap')
        backbone['init_cfg'] = None
        scope = DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain'))
        with scope, torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)        # the same start values in every call
            encoder = MODELS.build(backbone)
            encoder.init_weights()
        if checkpoint is not None:
            load_encoder(encoder, checkpoint)
        stats = {name: preprocessor[name] for name in ('mean', 'std') if preprocessor.get(name)}
        encoder.eval()  # mmpretrain's ViT returns nothing
        return cls(encoder, size, **stats)

    @torch.no_grad()
    def read(self, picture: Picture) -> FrozenTokens:
        """The tokens of a picture's tiles.

        Raises:
            ValueError: If the output is no feature map, or its grid does not divide the tile.
        """
        tiles, maps = cut_tiles(*picture.read(), self.size)
        device = next(self.encoder.parameters()).device
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (self.mean, self.std))
        features = self.encoder(((tiles - mean) / std).to(device))[-1]
        grid = features.shape[2:]
        if len(grid) != 2 or grid[0] != grid[1] or self.size % grid[0]:
            raise ValueError(
                f'{type(self.encoder).__name__} gives {tuple(features.shape)} for tiles of '
                f'{self.size} pixels, expected a feature map (N, D, h, h) whose h divides them: '
                "set out_type='featmap', and a size that its patches divide.")
        patch = self.size // grid[0]
        labels = maps.unfold(1, patch, patch).unfold(2, patch, patch).flatten(1, 2).flatten(2)
        return FrozenTokens(features.flatten(2).transpose(1, 2).float().cpu(), labels)


def variation_shares(tokens: Tensor) -> dict[str, float]:
    """Where the variation of tokens lies; the three shares sum to 1 (a two-way decomposition).

    An encoder that knows little but the brightness of a tile has most of it between tiles, one that
    tells the parts of a tile apart has it in the rest.

    Args:
        tokens: (N, L, D).

    Returns:
        ``tiles``: of the means of the tiles; ``places``: of the means of the places of the grid,
        the same in every tile, as the position table makes them; ``within``: the rest, what differs
        within a tile by its content.
    """
    tokens = tokens.double()
    centred = tokens - tokens.mean(dim=(0, 1))
    tiles, places = centred.mean(dim=1, keepdim=True), centred.mean(dim=0, keepdim=True)
    parts = dict(tiles=tiles, places=places, within=centred - tiles - places)
    squares = {name: float(part.square().sum(dim=-1).mean()) for name, part in parts.items()}
    total = sum(squares.values()) or 1.
    return {name: square / total for name, square in squares.items()}


def _image_size(backbone: dict, preprocessor: dict) -> int | None:
    """The image size of the pre-training: of the tokenizer, or of the encoder."""
    tokenizer = (preprocessor.get('tokenizer') or {}).get('model') or {}
    sizes = (tokenizer.get('image_size'), backbone.get('pretrain_img_size'),
             backbone.get('img_size'))
    return next((size for size in sizes if size is not None), None)
