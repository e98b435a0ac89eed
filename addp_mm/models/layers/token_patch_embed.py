"""A patch embedding that reads the VQ tokens of an image.

Shapes: N images of H x W pixels, (h, w) token grid, L = h * w, K codes, D embedding dims.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from .frozen import FrozenModule
from .transformer import init_table

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)


class TokenPatchEmbed(BaseModule):
    """Tokenizes normalised images with a frozen tokenizer and embeds the tokens.

    It stands in the place of mmcv's ``PatchEmbed`` in a ``VisionTransformer``: the data
    preprocessor, and with it every augmentation, stays that of pixels. As in MAGE's encoder the
    words get positions, a LayerNorm and dropout from the transformer behind (paper Sec. D.1). The
    tokenizer is not trained, is in no checkpoint, and is read from its own file.

    Args:
        tokenizer: The frozen tokenizer.
        embed_dims: Length D of an embedding.
        image_size: Usual height and width of the images, which gives ``init_out_size``.
        mean: Mean of each channel that the images were normalised with, of pixels in 0 to 255.
        std: Standard deviation of each channel, likewise.

    Raises:
        ValueError: If the tokenizer's stride does not divide ``image_size``.
    """

    def __init__(self, tokenizer: FrozenModule, embed_dims: int, image_size: tuple[int, int],
                 mean: Sequence[float] = IMAGENET_MEAN,
                 std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        stride = tokenizer.description.stride
        if any(side % stride for side in image_size):
            raise ValueError(f'The tokenizer has stride {stride}, which does not divide the image '
                             f'size {tuple(image_size)}. Choose a multiple of {stride}.')
        self.init_out_size = tuple(side // stride for side in image_size)
        self.embedding = nn.Embedding(self.num_codes, embed_dims)
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @property
    def num_codes(self) -> int:
        """Number K of codes, from the tokenizer."""
        return self.tokenizer.description.num_codes

    def init_weights(self) -> None:
        """Draw the words from N(0, 0.02) and read the tokenizer, so that a missing file stops."""
        super().init_weights()
        init_table(self.embedding.weight)
        self.tokenizer.load()

    def tokenize(self, images: Tensor) -> Tensor:
        """Token ids (N, h, w) of normalised images (N, 3, H, W).

        Raises:
            ValueError: If the tokenizer's stride does not divide the images' height or width.
        """
        pixels = ((images.float() * self.std + self.mean) / 255).clamp(0, 1)
        with self.tokenizer.running() as tokenizer:
            return tokenizer.encode(pixels)[0]

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Embed normalised images (N, 3, H, W).

        Returns:
            Embeddings (N, L, D) in the order of rows, and the grid (h, w).
        """
        token_ids = self.tokenize(images)
        return self.embedding(token_ids.flatten(1)), tuple(token_ids.shape[1:])


def patch_size_of(patch_embed: nn.Module) -> tuple[int, int]:
    """Height and width of a patch, of a patch embedding of pixels or of tokens."""
    if isinstance(patch_embed, TokenPatchEmbed):
        return to_2tuple(patch_embed.tokenizer.description.stride)
    return patch_embed.projection.stride
