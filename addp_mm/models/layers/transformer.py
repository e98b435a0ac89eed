"""mmpretrain's transformer layer for token sequences, and the projection of features to logits.

Shapes: N images, L tokens, D embedding dims, h heads.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn


class TransformerLayer(TransformerEncoderLayer):
    """Pre-norm transformer layer (LayerNorm eps 1e-6, exact GELU, biased qkv).

    The parameters are those of mmpretrain's ``TransformerEncoderLayer``; without a mask the result
    is the same too. Attention runs through ``scaled_dot_product_attention``, which accumulates the
    logits and the softmax in float32 also under half-precision autocast.

    Args:
        embed_dims: Width D of the tokens.
        num_heads: Number of attention heads; must divide ``embed_dims``.
        mlp_ratio: Hidden width of the feed-forward part over ``embed_dims``.
        drop_rate: Dropout in attention, after its projection and in the feed-forward part.

    Raises:
        ValueError: If ``num_heads`` does not divide ``embed_dims``.
    """

    def __init__(self, embed_dims: int, num_heads: int, mlp_ratio: int = 4,
                 drop_rate: float = 0.) -> None:
        if embed_dims % num_heads:
            raise ValueError(f'num_heads must divide embed_dims, got {num_heads=}, {embed_dims=}.')
        super().__init__(
            embed_dims=embed_dims,
            num_heads=num_heads,
            feedforward_channels=mlp_ratio * embed_dims,
            drop_rate=drop_rate,
            attn_drop_rate=drop_rate,
            norm_cfg=dict(type='LN', eps=1e-6))

    def forward(self, tokens: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Run the layer.

        Args:
            tokens: (N, L, D).
            key_padding_mask: (N, L) bool, True = a padded token that no other token may read.

        Returns:
            (N, L, D).
        """
        if key_padding_mask is None:
            return super().forward(tokens)
        tokens = tokens + self._masked_attention(self.ln1(tokens), key_padding_mask)
        return self.ffn(self.ln2(tokens), identity=tokens)

    def _masked_attention(self, tokens: Tensor, key_padding_mask: Tensor) -> Tensor:
        attn = self.attn
        q, k, v = rearrange(attn.qkv(tokens), 'n l (qkv h d) -> qkv n h l d', qkv=3,
                            h=attn.num_heads)
        readable = ~key_padding_mask[:, None, None, :]                    # (N, 1, 1, L)
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=readable, dropout_p=attn.attn_drop if self.training else 0.)
        return attn.proj_drop(attn.proj(rearrange(out, 'n h l d -> n l (h d)')))


class TransformerLayers(nn.ModuleList):
    """A stack of :class:`TransformerLayer`.

    Args:
        depth: Number of layers.
        embed_dims: Width D of the tokens.
        num_heads: Number of attention heads.
        drop_rate: Dropout of every layer.

    Raises:
        ValueError: If there is no layer.
    """

    def __init__(self, depth: int, embed_dims: int, num_heads: int, drop_rate: float = 0.) -> None:
        if depth < 1:
            raise ValueError(f'A transformer needs at least one layer, got depth={depth}.')
        super().__init__(
            TransformerLayer(embed_dims, num_heads, drop_rate=drop_rate) for _ in range(depth))

    def forward(self, tokens: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """(N, L, D) tokens through every layer; see :meth:`TransformerLayer.forward`."""
        for layer in self:
            tokens = layer(tokens, key_padding_mask)
        return tokens


def init_transformer_weights(module: nn.Module) -> None:
    """Reference release's start values: xavier-uniform linear layers, LayerNorm at 1 and 0.

    Args:
        module: The module whose linear layers and layer norms are (re-)initialised in place.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
        elif isinstance(part, nn.LayerNorm):
            nn.init.ones_(part.weight)
            nn.init.zeros_(part.bias)


def init_table(table: Tensor, std: float = 0.02) -> None:
    """Start values N(0, std) of tokens and tables (reference release: 0.02), in place."""
    with torch.no_grad():
        table.normal_(std=std)


class TokenProjection(nn.Module):
    """Linear, GELU, LayerNorm, then the product with the embedding of every token, plus a bias.

    The embedding is detached (reference release; ADDP and MAGE alike): it learns from where it is
    an input, not from here. Where it is no input, ``detach=False`` lets it learn here.

    Args:
        in_dims: Width of the features.
        embed_dims: Width of the token embedding.
        vocab_size: Number V of rows of the token embedding.
        detach: Whether the embedding takes no gradient from the logits.
    """

    def __init__(self, in_dims: int, embed_dims: int, vocab_size: int,
                 detach: bool = True) -> None:
        super().__init__()
        self.detach = detach
        self.fc = nn.Linear(in_dims, embed_dims)
        self.ln = nn.LayerNorm(embed_dims, eps=1e-5)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Project features on the rows of an embedding.

        Args:
            features: (..., in_dims).
            embedding: (V', embed_dims), the first V' <= V rows; no logits for other rows are
                computed.

        Returns:
            Logits (..., V').
        """
        hidden = self.ln(F.gelu(self.fc(features)))
        embedding = embedding.detach() if self.detach else embedding
        return F.linear(hidden, embedding, self.bias[:len(embedding)])
