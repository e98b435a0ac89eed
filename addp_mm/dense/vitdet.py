"""The encoder as backbone of ViTDet (arXiv 2203.16527).

Shapes: N images, (h, w) patch grid, L = h * w, D embedding dims.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

from mmengine.registry import MODELS
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from .attention import RelativePositionAttention
from .dense_vit import DenseViT


def even_global_layers(num_layers: int) -> tuple[int, ...]:
    """Indices of the last layer in each quarter: 2, 5, 8, 11 of 12 and 5, 11, 17, 23 of 24."""
    return tuple(sorted({math.ceil(num_layers * part / 4) - 1 for part in (1, 2, 3, 4)}))


@MODELS.register_module()
class ADDPViTDet(DenseViT):
    """ADDP's encoder with windows, four global layers and decomposed relative positions.

    The output is a tuple with the last feature map (N, D, h, w), for ``SimpleFPN``. There is no CLS
    token; images of any size are filled up to whole patches, see the parent.

    Args:
        img_size: Image size that the relative positions of the global layers are made for; at other
            sizes they are interpolated linearly.
        pretrain_img_size: Image size of the pre-training, whose table of absolute positions is
            resized to the grid by bicubic interpolation (256 pixels, not ViTDet's 224).
        window_size: Side of the windows in patches.
        global_attn_indexes: Layers that attend over the whole map; None spaces four evenly
            (ViTDet).
        pre_norm: Whether the LayerNorm behind the position table is kept; not in fine-tuning.
        final_norm: Whether a LayerNorm follows the last layer; ViTDet has none.
        fused: Hold no attention scores; False computes the definition, for comparison and export.
        with_cp: See the parent.
        **kwargs: The parent's arguments: ``arch``, ``drop_path_rate``, ``tokenizer``, ``init_cfg``.

    Raises:
        ValueError: If a global layer does not exist, or the side of a window is negative.
    """

    new_parameters = ('*.rel_pos_h', '*.rel_pos_w')

    def __init__(self,
                 img_size: int | tuple[int, int] = 1024,
                 pretrain_img_size: int | tuple[int, int] = 256,
                 window_size: int = 14,
                 global_attn_indexes: Sequence[int] | None = None,
                 pre_norm: bool = False,
                 final_norm: bool = False,
                 fused: bool = True,
                 with_cp: bool = False,
                 **kwargs) -> None:
        super().__init__(img_size=pretrain_img_size, pre_norm=pre_norm, final_norm=final_norm,
                         with_cls_token=False, with_cp=with_cp, **kwargs)
        if global_attn_indexes is None:
            global_attn_indexes = even_global_layers(self.num_layers)
        if not set(global_attn_indexes) <= set(range(self.num_layers)):
            raise ValueError(f'global_attn_indexes must lie in [0, {self.num_layers}), the layers '
                             f'of this arch, got {tuple(global_attn_indexes)}.')
        if window_size < 0:
            raise ValueError(f'window_size must be a number of patches, or 0 for no windows, got '
                             f'{window_size}.')
        grid_size = tuple(
            math.ceil(side * places / pretrain_side) for side, places, pretrain_side in zip(
                to_2tuple(img_size), self.patch_resolution, self.img_size, strict=True))
        for i, layer in enumerate(self.layers):
            layer.attn = RelativePositionAttention(
                layer.attn, grid_size, 0 if i in global_attn_indexes else window_size, fused)
        self.refreeze()

    def apply_layer(self, layer: nn.Module, tokens: Tensor, grid_size: tuple[int, int]) -> Tensor:
        """Apply one layer; see the parent."""
        return layer(tokens.unflatten(1, grid_size)).flatten(1, 2)
