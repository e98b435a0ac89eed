"""What the backbones of dense prediction share: feature maps of any size, checkpointing.

Shapes: N images, (h, w) patch grid, L tokens, D embedding dims.
"""
from __future__ import annotations

import torch
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..models.addp import ADDPViT


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


class DenseViT(ADDPViT):
    """ADDP's encoder with another attention in its layers, which reads the place on the grid.

    Its output is the tuple of the feature maps (N, D, h, w) after ``out_indices``. Images may have
    any size: the patch embedding fills them up with zeros, at the bottom and on the right, to whole
    patches (that is, with the mean colour: h = ceil(H / patch_size)), so that a place of the map
    stands for ``patch_size`` pixels, as detectors expect it. The table of absolute positions is
    resized to the grid. There is no dropout but that of whole paths (paper Tabs. 18 and 19).

    Args:
        with_cp: Keep only the input of each layer for the backward pass, which computes the layer
            again: less memory, more time, the same result.
        **kwargs: The parent's arguments: ``arch``, ``img_size``, ``drop_path_rate``, ``tokenizer``.
    """

    fills_up = True

    def __init__(self, with_cp: bool = False, **kwargs) -> None:
        super().__init__(drop_rate=0., out_type='featmap', **kwargs)
        self.with_cp = with_cp
        for layer in self.layers:
            layer.ffn = LeanFeedForward(layer.ffn)

    def refreeze(self) -> None:
        """Freeze the first layers again, after their attention was exchanged."""
        if self.frozen_stages > 0:
            self._freeze_stages()

    def apply_layer(self, layer: nn.Module, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Apply one layer to tokens (N, L, D) of a grid (h, w)."""
        raise NotImplementedError

    def _run_layer(self, layer: nn.Module, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(self.apply_layer, layer, tokens, grid_size, use_reentrant=False)
        return self.apply_layer(layer, tokens, grid_size)
