"""What a tokenizer makes of a set of images."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from mmengine.registry import DefaultScope
from torch import Tensor

from ..config_file import read_config_file
from ..generation import as_saved
from ..models.layers import FrozenModule
from .image_set import ImageSet


class Reconstructions:
    """The images of a set after a tokenizer's encoder and decoder.

    Args:
        tokenizer: The tokenizer, on the device where it shall run.
        images: The set, of the tokenizer's image size.

    Attributes:
        path: Where the originals are.
        image_size: (H, W).
        format: What it is, in words.

    Raises:
        ValueError: If the set has another image size, or no images.
    """

    def __init__(self, tokenizer: FrozenModule, images: ImageSet) -> None:
        wanted = tokenizer.description.image_size
        if images.image_size is None:
            raise ValueError(f'Expected images in {images.path}, it holds the mean and covariance '
                             'of features only.')
        if tuple(images.image_size) != tuple(wanted):
            raise ValueError(
                f'The images of {images.path} have {tuple(images.image_size)} pixels, the '
                f'tokenizer takes {tuple(wanted)}: make a reference set of that size '
                '(prepare_reference.py --size).')
        tokenizer.load()
        self.tokenizer = tokenizer
        self.images = images
        self.path = images.path
        self.image_size = images.image_size
        self.format = f'reconstructions by {tokenizer.checkpoint} ({tokenizer.sha256})'

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, batch_size: int) -> Iterator[Tensor]:
        """Yield the reconstructions, (N, 3, H, W) uint8, truncated as generated images are."""
        for batch in self.images.batches(batch_size):
            with self.tokenizer.running() as tokenizer:
                _, latents = tokenizer.encode(batch.to(self.tokenizer.device).float() / 255)
                images = tokenizer.decode(latents).float()
            yield as_saved(images).cpu()


def load_tokenizer(config: str | Path, weights: str | None = None,
                   device: torch.device | str = 'cpu') -> FrozenModule:
    """The tokenizer of a config.

    Args:
        config: Config of an ``ADDP`` or a ``MAGETraining``, which name its weights, or of the
            ``VQGANTraining`` that makes it.
        weights: Checkpoint of the tokenizer or of its training; None: what the config names.
        device: Where it runs.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the config has no tokenizer, or names no weights.
    """
    model = read_config_file(config).get('model', {})
    frozen = model.get('data_preprocessor', {}).get('tokenizer')
    if frozen is None and 'tokenizer' in model:
        frozen = dict(model=model.tokenizer)
    if frozen is None:
        raise ValueError(f'{config} has no tokenizer: expected the config of an ADDP, a '
                         'MAGETraining or a VQGANTraining.')
    if weights is not None:
        frozen = dict(frozen, checkpoint=weights)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return FrozenModule(**frozen).to(device)
