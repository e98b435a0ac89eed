"""The VQGAN tokenizer in MaskGIT's form.

Shapes: N images of H x W pixels, RGB in [0, 1]; K codes of C dims; (h, w) token grid.
"""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ...registry import MODELS
from ..layers import is_exporting, require_finite
from .token_grid import TokenGrid
from .vqgan_layers import RELEASED_NORM, BlockStyle, Decoder, Encoder

BAD_LATENTS = ('The latents of the tokenizer are not finite: its weights or the images are broken, '
               'or a value was too large for its precision (float32 has the most range).')


class Codebook(nn.Module):
    """A table of K embeddings, looked up by id, by distance or by a distribution.

    Args:
        num_codes: Number K of codes.
        code_dims: Length C of a code.

    Attributes:
        is_loaded: Whether the codes are those of a file.
    """

    def __init__(self, num_codes: int, code_dims: int) -> None:
        super().__init__()
        self.is_loaded = False
        self.embedding = nn.Embedding(num_codes, code_dims)
        nn.init.uniform_(self.embedding.weight, -1 / num_codes, 1 / num_codes)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args: Any) -> None:
        codes = state_dict.get(f'{prefix}embedding.weight')
        if codes is not None and codes.shape == self.embedding.weight.shape:
            self.is_loaded = True
        super()._load_from_state_dict(state_dict, prefix, *args)

    def assign(self, latents: Tensor) -> Tensor:
        """Nearest code of each place, always computed in float32.

        Args:
            latents: (N, C, h, w).

        Returns:
            Ids (N, h, w), int64.

        Raises:
            FloatingPointError: If a latent is not finite; on a GPU a failed assertion of the
                device, for which the host need not wait.
        """
        if not is_exporting():
            require_finite(latents, BAD_LATENTS)
        n, _, h, w = latents.shape
        return rearrange(self.distances(latents).argmin(dim=1), '(n h w) -> n h w', n=n, h=h)

    def distances(self, latents: Tensor) -> Tensor:
        """Squared distance of each place to each code, always computed in float32.

        Args:
            latents: (N, C, h, w).

        Returns:
            (N h w, K), less the place's own squared length, which is the same for every code.
        """
        with torch.autocast(latents.device.type, enabled=False):
            points = rearrange(latents.float(), 'n c h w -> (n h w) c')
            codes = self.embedding.weight.float()
            return codes.square().sum(dim=1) - 2 * points @ codes.t()

    def lookup(self, token_ids: Tensor) -> Tensor:
        """(N, h, w) ids to (N, C, h, w) embeddings."""
        return rearrange(self.embedding(token_ids), 'n h w c -> n c h w')

    def expected(self, probs: Tensor) -> Tensor:
        """(N, K, h, w) distributions to the (N, C, h, w) embeddings expected under them."""
        return torch.einsum('nkhw,kc->nchw', probs, self.embedding.weight)


@MODELS.register_module()
class VQGAN(TokenGrid):
    """Convolutional encoder, codebook and decoder.

    The defaults and the parameter names are those of the tokenizer that MAGE and ADDP were
    released with: 54.5 M parameters, stride 16, 1024 codes. Small new ones learn slowly with its
    norm and shortcut: of 32 channels, GroupNorm of 32 groups takes away each picture's brightness.
    For own images take ``norm=dict(type='LN2d')`` and ``shortcut='input'``.

    Args:
        image_size: Height and width of the images, or one number for both.
        num_codes: Number K of codes.
        code_dims: Length C of a code.
        channels: Channels of the finest resolution; the norm's groups divide them.
        channel_mult: Channels of each resolution over ``channels``. Each resolution after the
            first halves the image: five give stride 16.
        num_res_blocks: Residual blocks of each resolution, in the encoder and in the decoder.
        in_channels: Channels of the images.
        norm: Config of the norm layers, such as ``dict(type='LN2d')`` (LayerNorm over the channels
            of each place) or ``dict(type='GN', channels_per_group=16)``. None: the released
            GroupNorm of 32 groups.
        shortcut: What the 1x1 shortcut of a residual block reads where the number of channels
            changes: the 'branch', as released, or the block's 'input'.
        patch_size: Side of the patches of pixels that the first convolution reads as channels and
            the last one gives (pixel unshuffle and shuffle). 2 leaves out the finest resolution,
            where most of the time goes; with one resolution less the stride stays.

    Raises:
        ValueError: If the stride does not divide the image size, the norm's groups do not divide
            the channels, or ``shortcut`` is unknown.
    """

    def __init__(self, image_size: int | tuple[int, int] = 256, num_codes: int = 1024,
                 code_dims: int = 256, channels: int = 128,
                 channel_mult: Sequence[int] = (1, 1, 2, 2, 4), num_res_blocks: int = 2,
                 in_channels: int = 3, norm: dict | None = None,
                 shortcut: str = 'branch', patch_size: int = 1) -> None:
        super().__init__(image_size, patch_size * 2**(len(channel_mult) - 1))
        self.num_codes = num_codes
        self.code_dims = code_dims
        widths = [channels * mult for mult in channel_mult]
        style = BlockStyle(norm or RELEASED_NORM, shortcut)
        self.encoder = Encoder(in_channels, patch_size, widths, num_res_blocks, code_dims, style)
        self.decoder = Decoder(in_channels, patch_size, widths, num_res_blocks, code_dims, style)
        self.quantize = Codebook(num_codes, code_dims)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Tokenize images.

        Args:
            images: (N, 3, H, W), RGB in [0, 1].

        Returns:
            Token ids (N, h, w) and their embeddings (N, C, h, w).

        Raises:
            ValueError: If the stride does not divide the images' height or width.
        """
        self.check_size(images)
        token_ids = self.quantize.assign(self.encoder(images))
        return token_ids, self.quantize.lookup(token_ids)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w), of codes or of mixtures, to images (N, 3, H, W), not clamped."""
        return self.decoder(latents)
