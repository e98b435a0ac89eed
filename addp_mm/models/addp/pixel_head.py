"""The head that predicts the clean pixels from the encoder's output.

Shapes: N images of H x W pixels, (h, w) patch grid, C channels of the encoder, P = H / h.
"""
from __future__ import annotations

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...registry import MODELS
from ..layers import init_transformer_weights


@MODELS.register_module()
class PixelHead(BaseModule):
    """A linear layer from each place of the encoder's feature map to the clean pixels of its patch.

    Our addition for small trainings: the token decoder is told the reliable tokens, so that their
    pixels teach the encoder little. The paper has no such loss.

    Args:
        in_channels: Channels C of the feature map.
        patch_size: Side P of a patch in pixels.
        norm_pix: Learn the pixels of a patch over their mean and deviation (MAE's ``norm_pix``).
        loss_weight: Weight beside the loss on the tokens.
        loss: Config of the loss on pixels.
    """

    def __init__(self, in_channels: int, patch_size: int, norm_pix: bool = False,
                 loss_weight: float = 1., loss: dict | None = None) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.patch_size = patch_size
        self.norm_pix = norm_pix
        self.loss_weight = loss_weight
        self.projection = nn.Linear(in_channels, 3 * patch_size**2)
        self.loss_module = MODELS.build(
            loss or dict(type='PixelReconstructionLoss', criterion='L2'))

    def init_weights(self) -> None:
        """Start values of the reference release's linear layers."""
        init_transformer_weights(self)

    def forward(self, features: Tensor) -> Tensor:
        """Pixels of each patch (N, h * w, 3 * P * P) from a feature map (N, C, h, w)."""
        return self.projection(features.flatten(2).transpose(1, 2))

    def loss(self, features: Tensor, images: Tensor, encoder: nn.Module | None = None) -> Tensor:
        """The weighted loss on the pixels of all patches.

        Args:
            features: (N, C, h, w).
            images: The clean images, normalised, (N, 3, H, W).
            encoder: What made the features; not read.

        Returns:
            A scalar.

        Raises:
            ValueError: If channels or grid of the features do not fit the head.
        """
        patch = self.patch_size
        wanted = (self.in_channels, images.shape[2] // patch, images.shape[3] // patch)
        if tuple(features.shape[1:]) != wanted:
            raise ValueError(f'The pixel head expects features (N, {wanted[0]}, {wanted[1]}, '
                             f'{wanted[2]}) of images {tuple(images.shape[2:])}, got '
                             f'{tuple(features.shape)}: set its in_channels to the encoder\'s and '
                             'its patch_size to the pixels for each place of the feature map.')
        target = F.pixel_unshuffle(images, patch).flatten(2).transpose(1, 2)
        if self.norm_pix:
            target = F.layer_norm(target, target.shape[2:], eps=1e-6)
        return self.loss_weight * self.loss_module(self(features), target)
