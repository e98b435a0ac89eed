"""What every tokenizer has: a grid of tokens, one for each patch of ``stride`` pixels a side.

Shapes: N images of H x W pixels, RGB in [0, 1]; K codes; (h, w) token grid.
"""
from __future__ import annotations

from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import Tensor


class TokenGrid(BaseModule):
    """The base of tokenizers, which have a codebook ``quantize`` and a method ``decode``.

    Args:
        image_size: Height and width of the images, or one number for both.
        stride: Side of the patch of pixels that a token stands for.

    Raises:
        ValueError: If the stride does not divide the image size.
    """

    def __init__(self, image_size: int | tuple[int, int], stride: int) -> None:
        super().__init__()
        self.image_size = tuple(to_2tuple(image_size))
        self.stride = stride
        if any(side % stride for side in self.image_size):
            raise ValueError(f'The tokenizer has stride {stride}, which does not divide the '
                             f'image size {self.image_size}. Choose a multiple of {stride}.')

    @property
    def grid_size(self) -> tuple[int, int]:
        """Rows and columns (h, w) of the token grid at ``image_size``."""
        return self.image_size[0] // self.stride, self.image_size[1] // self.stride

    def check_size(self, images: Tensor) -> None:
        """Raise ValueError if the stride does not divide height or width of (N, 3, H, W)."""
        if any(side % self.stride for side in images.shape[2:]):
            raise ValueError(f'The tokenizer needs images whose sides are multiples of '
                             f'{self.stride}, got {tuple(images.shape[2:])}. Crop them to its '
                             f'image_size, {self.image_size}.')

    def decode_ids(self, token_ids: Tensor) -> Tensor:
        """Token ids (N, h, w) to images (N, 3, H, W), not clamped."""
        return self.decode(self.quantize.lookup(token_ids))

    def decode_probs(self, probs: Tensor) -> Tensor:
        """Distributions over codes (N, K, h, w) to images (N, 3, H, W), not clamped."""
        return self.decode(self.quantize.expected(probs))
