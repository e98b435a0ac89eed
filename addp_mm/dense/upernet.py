"""The encoder as backbone of UperNet, as MAE and BEiT are used for segmentation.

Shapes: N images, (h, w) patch grid, L = h * w, D embedding dims.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..diffusion import NoisySample
from ..models.layers import patch_size_of
from .attention import PositionBiasAttention
from .dense_vit import DenseViT

# 0-based, as in the code of MAE and BEiT; the paper does not say its own.
TAPS = {12: (3, 5, 7, 11), 24: (7, 11, 15, 23)}
_LEAST = 4      # patches in height and width


@MODELS.register_module()
class ADDPUperViT(DenseViT):
    """ADDP's encoder with BEiT's relative position bias and four taps.

    The output is a tuple of four feature maps (N, D, h, w), for mmseg's ``Feature2Pyramid``. Images
    that are no whole patches are resized to the next size that is: the heads of mmseg stretch their
    maps to the size of the image, and would move everything if some of a map lay beside it. Fewer
    than four rows or columns of patches become four, because ``Feature2Pyramid`` takes every second
    or fourth place. Other grids than that of ``img_size`` resize the absolute positions (bicubic)
    and the bias (see ``resize_bias_table``), when weights are loaded and for every image.

    Args:
        img_size: Image size that both kinds of positions are made for.
        out_indices: Layers whose output is taken; None takes those of MAE and BEiT.
        pre_norm: Whether the LayerNorm behind the position table is kept; not in fine-tuning.
        final_norm: Whether a LayerNorm follows the last layer.
        layer_scale_init_value: Start value of the learned scale of each path; 0 has none. MAE's
            recipe has 1.
        fused: Hold no attention scores where a kernel allows it; False computes the definition.
        with_cp: See the parent.
        **kwargs: The parent's arguments: ``arch``, ``drop_path_rate``, ``tokenizer``, ``init_cfg``.

    Raises:
        ValueError: If ``out_indices`` is left out for a depth that has no usual taps.
    """

    new_parameters = ('*.relative_position_bias_table', '*.gamma1.weight', '*.gamma2.weight')

    def __init__(self,
                 img_size: int | tuple[int, int] = 512,
                 out_indices: Sequence[int] | None = None,
                 pre_norm: bool = False,
                 final_norm: bool = False,
                 layer_scale_init_value: float = 1.,
                 fused: bool = True,
                 with_cp: bool = False,
                 **kwargs) -> None:
        super().__init__(img_size=img_size, pre_norm=pre_norm, final_norm=final_norm,
                         layer_scale_init_value=layer_scale_init_value, with_cp=with_cp, **kwargs)
        self.out_indices = self._taps(out_indices)
        for layer in self.layers:
            layer.attn = PositionBiasAttention(layer.attn, self.patch_resolution, fused)
        self.refreeze()

    def _taps(self, out_indices: Sequence[int] | None) -> tuple[int, ...]:
        if out_indices is None and self.num_layers not in TAPS:
            raise ValueError(f'There are no usual taps for {self.num_layers} layers (only for '
                             f'{sorted(TAPS)}): name out_indices.')
        taps = TAPS[self.num_layers] if out_indices is None else out_indices
        if not set(taps) <= set(range(self.num_layers)):
            raise ValueError(f'out_indices must lie in [0, {self.num_layers}), the layers of this '
                             f'arch, got {tuple(taps)}.')
        return tuple(taps)

    def forward(self, images: Tensor, noisy_sample: NoisySample | None = None) -> tuple[Tensor]:
        """Encode normalised images (N, 3, H, W); see the class and its parent."""
        size = tuple(images.shape[2:])
        whole = tuple(max(_LEAST, math.ceil(side / patch)) * patch for side, patch in zip(
            size, patch_size_of(self.patch_embed), strict=True))
        if size != whole:
            images = nn.functional.interpolate(images, whole, mode='bilinear')
        return super().forward(images, noisy_sample)

    def apply_layer(self, layer: nn.Module, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Apply one layer; see the parent."""
        tokens = tokens + layer.attn(layer.ln1(tokens), grid_size)
        return layer.ffn(layer.ln2(tokens), identity=tokens)
