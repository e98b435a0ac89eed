"""The encoder of an ``ADDP`` alone, for mmpretrain's ``VisionTransformer``, ``ResNet``, ..."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .addp_checkpoint import addp_renames
from .key_mapping import Conversion, Drop, Rename, apply_table, count_indexes

PREFIX = 'backbone.'

DROPS = (
    Drop('neck.*', 'not part of the encoder'),
    Drop('head.*', 'not part of the encoder'),
    Drop('backbone.token_embed.*', 'VisionTransformer reads pixels only'),
    Drop('backbone.token_pos_embed', 'VisionTransformer reads pixels only'),
)
PRE_NORM_DROP = Drop('backbone.pre_norm.*', 'the reference fine-tunes without it '
                     '(--keep-pre-norm keeps it)')


def convert_backbone(weights: Mapping[str, Tensor], keep_pre_norm: bool = False) -> Conversion:
    """Take the encoder out of an ``ADDP``.

    A ViT gets the names of mmpretrain's ``VisionTransformer``; its ``ln1`` is the norm after the
    last layer. There is no ``ln2``, which that class has with ``out_type='avg_featmap'``: it
    starts as an identity and is learned in fine-tuning. Any other encoder is taken as it is.

    Args:
        weights: Tensors of an ``ADDP``.
        keep_pre_norm: Keep a ViT's ``pre_norm``, to get the features of the pre-training from
            ``VisionTransformer(pre_norm=True, patch_cfg=dict(bias=True))``.

    Raises:
        ValueError: If tensors are missing or unknown.
    """
    if f'{PREFIX}layers.0.attn.qkv.weight' not in weights:
        names = [name for name in weights if name.startswith(PREFIX)]
        return apply_table(weights, [_without_prefix(name) for name in names], DROPS)
    depth = count_indexes(weights, f'{PREFIX}layers.')
    names = [row.target for row in addp_renames(depth, 0) if row.target.startswith(PREFIX)]
    drops = DROPS
    if not keep_pre_norm:
        names = [name for name in names if not name.startswith(f'{PREFIX}pre_norm.')]
        drops += (PRE_NORM_DROP, )
    return apply_table(weights, [_without_prefix(name) for name in names], drops)


def _without_prefix(name: str) -> Rename:
    return Rename(name, name.removeprefix(PREFIX))
