"""The feed-forward part of a layer, with half of what it keeps for the backward pass.

Shapes: D embedding dims, F hidden dims.
"""
from __future__ import annotations

import torch
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class LeanFeedForward(nn.Module):
    """mmcv's ``FFN`` without dropout, which computes its activation again in the backward pass.

    Of the two hidden maps, before and after the activation, only the first is kept: they are the
    largest that a layer holds once attention holds no scores, and the activation is cheap. The
    results are the same.

    Args:
        ffn: The part whose layers are taken over, under the same names.
    """

    def __init__(self, ffn: FFN) -> None:
        super().__init__()
        self.layers = ffn.layers
        self.gamma2 = ffn.gamma2
        self.dropout_layer = ffn.dropout_layer

    def forward(self, tokens: Tensor, identity: Tensor) -> Tensor:
        """Compute ``identity`` plus the result, (..., D) both."""
        hidden = self.layers[0][0](tokens)                                        # (..., F)
        if torch.is_grad_enabled():
            # It stops before the second matrix product, which is not computed again.
            out = checkpoint(self._contract, hidden, use_reentrant=False, preserve_rng_state=False)
        else:
            out = self._contract(hidden)
        return identity + self.dropout_layer(self.gamma2(out))

    def _contract(self, hidden: Tensor) -> Tensor:
        return self.layers[1](self.layers[0][1](hidden))
