"""The head that predicts the pixels of patches which the encoder did not see.

Shapes: N images of H x W pixels, (h, w) patch grid, L = h * w, C channels of the encoder,
P = H / h, R visible patches.
"""
from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...diffusion import nested_masks
from ...registry import MODELS
from ..layers import init_transformer_weights


@MODELS.register_module()
class MaskedPixelHead(BaseModule):
    """Masked autoencoding of the clean images (MAE, arXiv 2111.06377) as ADDP's second loss.

    Our addition for small trainings. The token decoder is told the reliable tokens, so that the
    encoder need not know what stands where; here it must: it reads some patches of the clean image,
    and a small decoder, which is thrown away later, tells the pixels of the others. Decoder and
    loss are mmpretrain's ``MAEPretrainDecoder`` and ``MAEPretrainHead``.

    Args:
        in_channels: Channels C of the encoder.
        patch_size: Side P of a patch in pixels.
        grid_size: Patch grid (h, w), h = w.
        embed_dims: Width of the decoder; C if None.
        depth: Number of its layers.
        num_heads: Number of attention heads.
        mask_ratio: Share of the patches that is hidden, in (0, 1).
        repeats: Number of masks drawn for each image: they cost less than another image.
        norm_pix: Learn the pixels of a patch over their mean and deviation.
        loss_weight: Weight beside the loss on the tokens.

    Raises:
        ValueError: If the grid is not square, or ``mask_ratio`` hides no patch or all of them.
    """

    def __init__(self, in_channels: int, patch_size: int, grid_size: tuple[int, int],
                 embed_dims: int | None = None, depth: int = 2, num_heads: int = 4,
                 mask_ratio: float = 0.75, repeats: int = 1, norm_pix: bool = True,
                 loss_weight: float = 1.) -> None:
        super().__init__()
        num_patches = grid_size[0] * grid_size[1]
        if grid_size[0] != grid_size[1]:
            raise ValueError("The decoder of mmpretrain's MAE takes square images, got a grid of "
                             f'{tuple(grid_size)} patches: take PixelHead, or no pixel_head.')
        self.num_hidden = num_patches - int(num_patches * (1 - mask_ratio))     # as MAE rounds
        if not 0 < self.num_hidden < num_patches:
            raise ValueError(f'mask_ratio must hide some of {num_patches} patches and leave some, '
                             f'got {mask_ratio}.')
        self.repeats = repeats
        self.loss_weight = loss_weight
        self.decoder = MODELS.build(dict(
            type='MAEPretrainDecoder', num_patches=num_patches, patch_size=patch_size,
            embed_dim=in_channels, decoder_embed_dim=embed_dims or in_channels,
            decoder_depth=depth, decoder_num_heads=num_heads))
        self.pixel_loss = MODELS.build(dict(
            type='MAEPretrainHead', norm_pix=norm_pix, patch_size=patch_size,
            loss=dict(type='PixelReconstructionLoss', criterion='L2')))

    def init_weights(self) -> None:
        """Start values of the reference release; MAE's position table and mask token."""
        init_transformer_weights(self)
        super().init_weights()

    def loss(self, features: Tensor, images: Tensor, encoder: nn.Module) -> Tensor:
        """The weighted loss on the pixels of hidden patches.

        Args:
            features: What the encoder made of the noisy images; not read.
            images: The clean images, normalised, (N, 3, H, W).
            encoder: Has ``encode_visible``.

        Returns:
            A scalar.
        """
        images = images.repeat_interleave(self.repeats, dim=0)
        num_patches = self.decoder.num_patches
        noise = torch.rand((len(images), num_patches, 1), device=images.device)
        hidden = nested_masks(noise, self.num_hidden)[0].flatten(1)             # (N, L)
        order = hidden.byte().argsort(dim=1, stable=True)       # the visible ones first
        visible = order[:, :num_patches - self.num_hidden]
        encoded = encoder.encode_visible(images, visible)                       # (N, 1 + R, C)
        pixels = self.decoder(encoded, order.argsort(dim=1))
        return self.loss_weight * self.pixel_loss.loss(pixels, images, hidden.float())
