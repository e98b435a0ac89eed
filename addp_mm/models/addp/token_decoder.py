"""The token decoder: from features of a noisy image to features of its tokens.

Shapes: N images, (h, w) token grid, L = h * w, C channels of the encoder, D decoder dims,
R reliable tokens.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...checkpoints import resize_tables_on_load
from ...diffusion import NoisySample
from ...registry import MODELS
from ..layers import TransformerLayers, init_table, init_transformer_weights


@MODELS.register_module()
class TokenDecoder(BaseModule):
    """Transformer over the encoder's features, mask tokens and the reliable tokens (Sec. 3.3).

    The sequence is one mask token in the place of CLS, then for each place of the grid the
    projected feature where the token is reliable and a mask token where it is not, then the
    embeddings of the reliable tokens. Features, mask tokens and reliable tokens have a learned
    position table each (reference release).

    Args:
        in_channels: Channels C of the encoder's feature map.
        grid_size: Token grid (h, w).
        num_codes: Number of codes of the tokenizer.
        vocab_size: Rows of the token embedding, at least ``num_codes``, which is the default; the
            reference release has 2025.
        embed_dims: Decoder width D.
        depth: Number of layers.
        num_heads: Number of attention heads.
        drop_rate: Dropout of the layers (paper Tab. 14: 0.1).
        token_input: Append the reliable tokens (paper Tab. 5: "decoder only" is True, "none" is
            False).
        bucket: Pad the appended tokens to a multiple of so many, which no token reads; the head
            scores a multiple of so many places. Then few shapes occur, for ``torch.compile``.
        table_std: Deviation of the start values of tokens and position tables, see ``MAGE``.

    Raises:
        ValueError: If ``vocab_size`` is smaller than ``num_codes``, or ``bucket`` than 1.
    """

    def __init__(self, in_channels: int, grid_size: tuple[int, int], num_codes: int,
                 vocab_size: int | None = None, embed_dims: int = 768, depth: int = 8,
                 num_heads: int = 16, drop_rate: float = 0.1, token_input: bool = True,
                 bucket: int = 1, table_std: float = 0.02) -> None:
        super().__init__()
        vocab_size = vocab_size or num_codes
        if vocab_size < num_codes:
            raise ValueError(f'vocab_size must be at least {num_codes=}, got {vocab_size}.')
        if bucket < 1:
            raise ValueError(f'bucket must be at least 1 (no padding), got {bucket}.')
        self.table_std = table_std
        self.in_channels = in_channels
        self.grid_size = grid_size[0], grid_size[1]
        self.num_codes = num_codes
        self.bucket = bucket
        self.token_input = token_input
        self.decoder_embed = nn.Linear(in_channels, embed_dims)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.token_embed = nn.Embedding(vocab_size, embed_dims)
        num_places = 1 + self.grid_size[0] * self.grid_size[1]
        tables = ('pos_embed', 'mask_pos_embed') + ('token_pos_embed', ) * token_input
        for name in tables:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, num_places, embed_dims)))
        resize_tables_on_load(self, tables, self.grid_size)
        self.layers = TransformerLayers(depth, embed_dims, num_heads, drop_rate)
        self.norm = nn.LayerNorm(embed_dims, eps=1e-6)
        self.tables = tables

    def build_head(self, cfg: dict) -> nn.Module:
        """Build the head that fits this decoder.

        Args:
            cfg: Config of the head, a :class:`TokenHead` if it names no ``type``. Widths, grid and
                bucket are this decoder's. Where no tokens are appended, nothing but the logits
                trains the embedding: it is not detached from them.
        """
        sizes = dict(in_dims=self.norm.normalized_shape[0], grid_size=self.grid_size,
                     vocab_size=self.token_embed.num_embeddings, detach=self.token_input,
                     bucket=self.bucket)
        return MODELS.build({**sizes, 'type': 'TokenHead', **cfg})

    def init_weights(self) -> None:
        """Start values of the reference release."""
        init_transformer_weights(self)
        tables = (getattr(self, name) for name in self.tables)
        for table in (self.mask_token, self.token_embed.weight, *tables):
            init_table(table, self.table_std)

    def forward(self, features: Tensor, noisy_sample: NoisySample) -> Tensor:
        """Decode a feature map.

        Args:
            features: (N, C, h', w') of any encoder, or (N, h', w', C) as timm's Swin gives them;
                resized to the token grid where it differs.
            noisy_sample: The tokens behind the noisy images.

        Returns:
            Features of the tokens of the grid, (N, L, D), row-major.

        Raises:
            ValueError: If channels or grid are not those of the config.
        """
        num_places = self.grid_size[0] * self.grid_size[1]
        return self.decode_sequence(features, noisy_sample)[:, 1:1 + num_places]

    def decode_sequence(self, features: Tensor, noisy_sample: NoisySample) -> Tensor:
        """As :meth:`forward`, but the whole sequence (N, 1 + L + R, D)."""
        features = self._channels_first(features)
        self._check(features, noisy_sample)
        tokens, padding = self._embed_grid(features, noisy_sample.mask), None
        if self.token_input:
            ids, places, padding = noisy_sample.reliable_tokens(self.bucket)
            reliable = self.token_embed(ids) + self.token_pos_embed[0, 1 + places]
            tokens = torch.cat((tokens, reliable), dim=1)
        if padding is not None:
            padding = F.pad(padding, (tokens.shape[1] - padding.shape[1], 0), value=False)
        return self.norm(self.layers(tokens, padding))

    def _embed_grid(self, features: Tensor, mask: Tensor) -> Tensor:
        if features.shape[2:] != self.grid_size:
            features = F.interpolate(features, self.grid_size, mode='bilinear')
        embedded = self.decoder_embed(rearrange(features, 'n c h w -> n (h w) c'))
        masked = rearrange(mask, 'n h w -> n (h w) 1')
        places = torch.where(masked, self.mask_token + self.mask_pos_embed[:, 1:],
                             embedded + self.pos_embed[:, 1:])
        cls = (self.mask_token + self.pos_embed[:, :1]).expand(len(places), -1, -1)
        return torch.cat((cls, places), dim=1)

    def _channels_first(self, features: Tensor) -> Tensor:
        is_last = features.ndim == 4 and features.shape[3] == self.in_channels
        if is_last and features.shape[1] != self.in_channels:
            return rearrange(features, 'n h w c -> n c h w')
        return features

    def _check(self, features: Tensor, noisy_sample: NoisySample) -> None:
        if features.ndim != 4 or features.shape[1] != self.in_channels:
            raise ValueError(f'The token decoder expects features (N, {self.in_channels}, h, w), '
                             f'got {tuple(features.shape)}: set its in_channels to the encoder\'s '
                             'and the encoder\'s output to a feature map.')
        if noisy_sample.mask.shape[1:] != self.grid_size:
            raise ValueError(f'The token decoder has the grid {self.grid_size}, the tokens '
                             f'{tuple(noisy_sample.mask.shape[1:])}: image size, tokenizer and '
                             'grid_size do not fit each other.')
