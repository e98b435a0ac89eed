"""From a batch of pictures to their tokens, on the device."""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmpretrain.models.utils import SelfSupDataPreprocessor
from torch import Tensor

from ...registry import MODELS
from ..layers import IMAGENET_MEAN, IMAGENET_STD, FrozenModule, check_range

_WHITE = 255.


class TokenizingPreprocessor(SelfSupDataPreprocessor):
    """Stacks pictures, brings them to RGB in [0, 1], and owns the frozen tokenizer.

    Args:
        tokenizer: Arguments of :class:`FrozenModule` for the tokenizer.
        mean: Mean of each channel, of pixels in 0 to 255.
        std: Standard deviation of each channel, of pixels in 0 to 255.
        to_rgb: The pictures come as BGR.

    Raises:
        ValueError: If ``mean`` and ``std`` make values larger than the pixels are.
    """

    def __init__(self, tokenizer: dict, mean: Sequence[float] = IMAGENET_MEAN,
                 std: Sequence[float] = IMAGENET_STD, to_rgb: bool = True) -> None:
        _check_scale(mean, std)
        # From pinned memory the host need not wait for the copy; other memory waits by itself.
        super().__init__(mean=mean, std=std, to_rgb=to_rgb, non_blocking=True)
        self.to_rgb = to_rgb
        self.tokenizer = FrozenModule(**tokenizer)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of the images, from the tokenizer."""
        return self.tokenizer.description.image_size

    @property
    def grid_size(self) -> tuple[int, int]:
        """Token grid (h, w), from the tokenizer."""
        return self.tokenizer.description.grid_size

    @property
    def num_codes(self) -> int:
        """Number K of codes, from the tokenizer."""
        return self.tokenizer.description.num_codes

    def load_frozen(self) -> None:
        """Read the weights of the frozen parts now, so that a missing file stops at once."""
        for module in self.modules():
            if isinstance(module, FrozenModule):
                module.load()

    def to_images(self, data: dict) -> tuple[Tensor, list | None]:
        """Stack a batch from the data loader.

        Args:
            data: ``inputs``: (N, 3, H, W) uint8 or floats of the same scale, or a list of
                (3, H, W); ``data_samples``.

        Returns:
            Images (N, 3, H, W), RGB in [0, 1], and the data samples.

        Raises:
            ValueError: If floats are on another scale, as after a ``Normalize``.
        """
        data = self.cast_data(data)
        inputs = data['inputs']
        if isinstance(inputs, (list, tuple)):
            inputs = torch.stack(tuple(inputs))
        if self.to_rgb:
            inputs = inputs.flip(1)
        images = inputs.float() / 255
        if inputs.is_floating_point():      # uint8 cannot be on another scale
            check_range(images)
        return images, data.get('data_samples')

    def normalize(self, images: Tensor) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] to the encoder's scale."""
        return (images * 255 - self.mean) / self.std

    def tokenize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images in [0, 1] to token ids (N, h, w) and their embeddings (N, C, h, w).

        Raises:
            ValueError: If the images are not of the tokenizer's ``image_size``.
        """
        if tuple(images.shape[2:]) != self.image_size:
            raise ValueError(f'Expected images of {self.image_size} pixels (the tokenizer\'s '
                             f'image_size), got {tuple(images.shape[2:])}. Make the pipeline\'s '
                             'crop and the tokenizer\'s image_size agree.')
        with self.tokenizer.running() as tokenizer:
            return tokenizer.encode(images)


def _check_scale(mean: Sequence[float], std: Sequence[float]) -> None:
    """See that mean and deviation can be those of pixels of 0 to 255, not of 0 to 1."""
    # In numbers of Python: models are also built on the device 'meta', where tensors are empty.
    largest = max(max(abs(centre), _WHITE - centre) / width if width > 0 else math.inf
                  for centre, width in zip(mean, std, strict=False))
    if not largest <= _WHITE:
        raise ValueError(
            f'mean and std must be those of pixels of 0 to 255, got {list(mean)} and {list(std)}: '
            f'the encoder would read values up to {largest:.0f}. Multiply those of pixels of 0 to '
            '1 by 255.')


@MODELS.register_module()
class TokenDataPreprocessor(TokenizingPreprocessor):
    """VQ tokenization for the training of a token predictor.

    Args:
        tokenizer: Arguments of ``FrozenModule`` for the tokenizer.
        **kwargs: ``to_rgb`` of :class:`TokenizingPreprocessor`.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Tokenize a batch.

        Args:
            data: See :meth:`TokenizingPreprocessor.to_images`.
            training: Not read: training and scoring take the same tokens.

        Returns:
            ``inputs``: token ids (N, h, w); ``data_samples`` of the loader.
        """
        images, data_samples = self.to_images(data)
        return dict(inputs=self.tokenize(images)[0], data_samples=data_samples)
