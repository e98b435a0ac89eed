"""The head that gives a distribution over tokens for every place."""
from __future__ import annotations

from einops import rearrange
from mmengine.model import BaseModule
from torch import Tensor

from ...diffusion import NoisySample, gather_places
from ...registry import MODELS
from ..layers import TokenProjection, init_transformer_weights


@MODELS.register_module()
class TokenHead(BaseModule):
    """Token logits tied to the decoder's token embedding, and the loss on them.

    The loss computes logits at the masked places only: no other place is scored.

    Args:
        in_dims: Width D of the decoder's features.
        vocab_size: Rows V of the token embedding.
        grid_size: Token grid (h, w).
        embed_dims: Width of the token embedding; as ``in_dims`` if None.
        detach: Whether the embedding takes no gradient from the logits. Set False where the
            decoder appends no tokens: nothing else would train it.
        bucket: The loss takes a multiple of so many places, see :class:`TokenDecoder`.
        loss: Config of the loss.
    """

    def __init__(self, in_dims: int, vocab_size: int, grid_size: tuple[int, int],
                 embed_dims: int | None = None, detach: bool = True,
                 bucket: int = 1, loss: dict | None = None) -> None:
        super().__init__()
        self.grid_size = tuple(grid_size)
        self.bucket = bucket
        self.token_projection = TokenProjection(in_dims, embed_dims or in_dims, vocab_size, detach)
        self.loss_module = MODELS.build(loss or dict(type='MaskedTokenLoss'))

    def init_weights(self) -> None:
        """Start values of the reference release."""
        init_transformer_weights(self)

    def forward(self, features: Tensor, embedding: Tensor) -> Tensor:
        """Token logits.

        Args:
            features: (N, L, D), row-major.
            embedding: The token embedding (V, D).

        Returns:
            (N, V, h, w).
        """
        logits = self.token_projection(features, embedding)
        return rearrange(logits, 'n (h w) v -> n v h w', h=self.grid_size[0])

    def loss(self, features: Tensor, embedding: Tensor, noisy_sample: NoisySample) -> Tensor:
        """The loss on the masked places.

        Args:
            features: (N, L, D), row-major.
            embedding: The token embedding (V, D).
            noisy_sample: Ids, mask and target distribution.

        Returns:
            A scalar.
        """
        places, masked = noisy_sample.masked_places(self.bucket)
        logits = self.token_projection(gather_places(features, places), embedding)  # (N, M, V)
        return self.loss_module(logits.transpose(1, 2), masked)
