"""From a feature to logits over tokens, tied to a token embedding."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
