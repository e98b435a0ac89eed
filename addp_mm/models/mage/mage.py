"""MAGE: the distribution over codes of a partly masked token grid.

Shapes: N images, (h, w) token grid, L = h * w, K codes, V rows of the vocabulary, D dims.
"""
from __future__ import annotations

import torch
from einops import rearrange
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...checkpoints import resize_tables_on_load
from ...registry import MODELS
from ...unknown_names import check_names
from ..layers import TokenProjection, TransformerLayers, init_table, init_transformer_weights

ARCHS = {
    'base': dict(embed_dims=768, depth=12, num_heads=12),
    'large': dict(embed_dims=1024, depth=24, num_heads=16),
}


@MODELS.register_module()
class MAGE(BaseModule):
    """Transformer encoder and decoder over tokens (MAGE, arXiv 2211.09117; ADDP Sec. 3.2).

    Masked places carry a mask token in the encoder, and the encoder's CLS output in the decoder.

    Args:
        num_codes: Number K of codes of the tokenizer.
        grid_size: Token grid (h, w).
        arch: 'base', 'large', or a dict of ``embed_dims``, ``depth`` and ``num_heads``.
        decoder_depth: Number of decoder layers.
        decoder_heads: Attention heads of the decoder.
        drop_rate: Dropout after the embedding and in the layers while it trains.
        vocab_size: Rows V of the token embedding; None: the codes, a class and a mask token.
        class_id: Row of the token in the place of CLS; None: the row after the codes.
        mask_id: Row of the mask token; None: the last row. The released weights have
            ``vocab_size=2025, class_id=1100, mask_id=2024``.
        table_std: Deviation of the start values of tokens and position tables (reference release:
            0.02). The logits are products with the tokens: from larger ones small networks learn
            faster.

    Raises:
        ValueError: If the architecture is unknown, or the two rows are not different, outside of
            the codes and inside of the vocabulary.
    """

    def __init__(self, num_codes: int, grid_size: tuple[int, int], arch: str | dict = 'base',
                 decoder_depth: int = 8, decoder_heads: int = 16, drop_rate: float = 0.1,
                 vocab_size: int | None = None, class_id: int | None = None,
                 mask_id: int | None = None, table_std: float = 0.02) -> None:
        super().__init__()
        if isinstance(arch, str) and arch not in ARCHS:
            raise ValueError(f'arch must be one of {sorted(ARCHS)} or a dict, got {arch!r}.')
        sizes = ARCHS[arch] if isinstance(arch, str) else arch
        check_names('arch', sizes, ARCHS['base'])
        dims = sizes['embed_dims']
        self.table_std = table_std
        self.num_codes = num_codes
        self.grid_size = (grid_size[0], grid_size[1])
        vocab_size = num_codes + 2 if vocab_size is None else vocab_size
        self.class_id = num_codes if class_id is None else class_id
        self.mask_id = vocab_size - 1 if mask_id is None else mask_id
        own_rows = {self.class_id, self.mask_id}
        if len(own_rows) < 2 or not all(num_codes <= i < vocab_size for i in own_rows):
            raise ValueError('class_id and mask_id must be two different rows in '
                             f'[{num_codes}, {vocab_size}), got {self.class_id} and '
                             f'{self.mask_id}.')
        places = 1 + self.grid_size[0] * self.grid_size[1]
        self.token_embed = nn.Embedding(vocab_size, dims)
        self.pos_embed = nn.Parameter(torch.zeros(1, places, dims))
        self.embed_norm = nn.LayerNorm(dims, eps=1e-6)
        self.embed_drop = nn.Dropout(drop_rate)
        self.layers = TransformerLayers(sizes['depth'], dims, sizes['num_heads'], drop_rate)
        self.norm = nn.LayerNorm(dims, eps=1e-6)
        self.decoder_embed = nn.Linear(dims, dims)
        self.decoder_pos_embed = nn.Parameter(torch.zeros(1, places, dims))
        self.decoder_layers = TransformerLayers(decoder_depth, dims, decoder_heads, drop_rate)
        self.decoder_norm = nn.LayerNorm(dims, eps=1e-6)
        self.token_projection = TokenProjection(dims, dims, vocab_size)
        resize_tables_on_load(self, ('pos_embed', 'decoder_pos_embed'), self.grid_size)

    def init_weights(self) -> None:
        """Start values of the reference release."""
        init_transformer_weights(self)
        for table in (self.token_embed.weight, self.pos_embed, self.decoder_pos_embed):
            init_table(table, self.table_std)

    def forward(self, token_ids: Tensor, mask: Tensor, kept: Tensor | None = None) -> Tensor:
        """Logits over the codes of every place.

        Args:
            token_ids: (N, h, w) int64; what stands at masked places is not read.
            mask: (N, h, w) bool, True = masked.
            kept: Flat places (N, L') that the encoder sees, the same number for each image and
                all unmasked ones among them; None: every place. Training drops half of them.

        Returns:
            (N, K, h, w).

        Raises:
            ValueError: If ids or mask are not on the model's grid.
        """
        self._check(token_ids, mask)
        encoded = self.norm(self.layers(self._embed(token_ids, mask, kept)))
        decoded = self._decode(self.decoder_embed(encoded), mask.flatten(1), kept)
        logits = self.token_projection(decoded[:, 1:], self.token_embed.weight[:self.num_codes])
        return rearrange(logits, 'n (h w) v -> n v h w', h=self.grid_size[0])

    def predict_probs(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """q(. | z) over the codes of every place, (N, K, h, w) float32; see :meth:`forward`."""
        # The codes last, as in memory.
        logits = rearrange(self(token_ids, mask), 'n k h w -> n h w k')
        return rearrange(logits.float().softmax(dim=-1), 'n h w k -> n k h w')

    def _embed(self, token_ids: Tensor, mask: Tensor, kept: Tensor | None) -> Tensor:
        ids = token_ids.masked_fill(mask, self.mask_id).flatten(1)
        ids = torch.cat((torch.full_like(ids[:, :1], self.class_id), ids), dim=1)
        tokens = self.token_embed(ids) + self.pos_embed                       # (N, 1 + L, D)
        tokens = self.embed_drop(self.embed_norm(tokens))
        return tokens if kept is None else tokens.gather(1, _with_cls(kept, tokens))

    def _decode(self, encoded: Tensor, mask: Tensor, kept: Tensor | None) -> Tensor:
        cls = encoded[:, :1]
        if kept is not None:
            whole = cls.repeat(1, 1 + mask.shape[1], 1)
            encoded = whole.scatter(1, _with_cls(kept, encoded), encoded)
        patches = torch.where(mask[..., None], cls, encoded[:, 1:])           # (N, L, D)
        tokens = torch.cat((cls, patches), dim=1) + self.decoder_pos_embed
        return self.decoder_norm(self.decoder_layers(tokens))

    def _check(self, token_ids: Tensor, mask: Tensor) -> None:
        for name, value in (('token ids', token_ids), ('mask', mask)):
            if value.shape[1:] != self.grid_size:
                raise ValueError(f'The token predictor has the grid {self.grid_size}, the {name} '
                                 f'{tuple(value.shape[1:])}: image size, tokenizer and predictor '
                                 'do not fit each other.')


def _with_cls(places: Tensor, tokens: Tensor) -> Tensor:
    """Flat places (N, L') to gather indices (N, 1 + L', D) of a sequence that starts with CLS."""
    places = torch.cat((torch.zeros_like(places[:, :1]), places + 1), dim=1)
    return places[..., None].expand(-1, -1, tokens.shape[2])
