"""Released ADDP files <-> the algorithm ``ADDP`` with a ViT encoder, and that encoder alone."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .key_mapping import Conversion, Drop, Rename, apply_table, count_indexes, expand, layer_renames


def _as_row(bias: Tensor) -> Tensor:
    """(V,) -> (1, 1, V)."""
    return bias[None, None]


ROWS = (
    Rename('cls_token', 'backbone.cls_token'),
    Rename('pos_embed', 'backbone.pos_embed'),
    Rename('patch_embed.proj.{p}', 'backbone.patch_embed.projection.{p}'),
    Rename('tokenizer_norm.{p}', 'backbone.pre_norm.{p}'),
    Rename('norm.{p}', 'backbone.ln1.{p}'),
    Rename('decoder_embed.{p}', 'neck.decoder_embed.{p}'),
    Rename('mask_token', 'neck.mask_token'),
    Rename('token_emb.weight', 'neck.token_embed.weight'),
    Rename('decoder_pos_embed_learned', 'neck.pos_embed'),
    Rename('decoder_pos_mask_embed', 'neck.mask_pos_embed'),
    Rename('decoder_pos_token_embed', 'neck.token_pos_embed'),
    Rename('decoder_norm.{p}', 'neck.norm.{p}'),
    Rename('mlm_layer.fc.{p}', 'head.token_projection.fc.{p}'),
    Rename('mlm_layer.ln.{p}', 'head.token_projection.ln.{p}'),
    Rename('mlm_layer.bias', 'head.token_projection.bias', Tensor.flatten, _as_row),
)

DROPS = (
    Drop('decoder_pos_embed', 'never read: the sin-cos table'),
    Drop('pos_token_embed', 'never read'),
    Drop('pos_mask_embed', 'never read'),
    Drop('decoder_pred.*', 'never read: a projection to pixels'),
    Drop('vqgan.*', 'the frozen tokenizer, which has its own file (--to vqgan)'),
    Drop('token_predictor.*', 'the frozen token predictor, which has its own file (--to mage)'),
)

TABLES = ('backbone.pos_embed', 'neck.pos_embed', 'neck.mask_pos_embed', 'neck.token_pos_embed')
REFERENCE_TABLES = tuple(row.source for row in ROWS if row.target in TABLES)


def addp_renames(depth: int, decoder_depth: int) -> list[Rename]:
    """The rows from the released file to ours, for so many encoder and decoder layers."""
    return [
        *expand(ROWS),
        *layer_renames('blocks', 'backbone.layers', depth),
        *layer_renames('decoder_blocks', 'neck.layers', decoder_depth),
    ]


def convert_reference_to_addp(weights: Mapping[str, Tensor]) -> Conversion:
    """Convert a released ADDP, with or without the frozen parts inside.

    Args:
        weights: Tensors of the file.

    Raises:
        ValueError: If tensors are missing or unknown.
    """
    renames = addp_renames(count_indexes(weights, 'blocks.'),
                           count_indexes(weights, 'decoder_blocks.'))
    return apply_table(weights, renames, DROPS)


def convert_addp_to_reference(weights: Mapping[str, Tensor]) -> Conversion:
    """Convert ours to the names of the release: every tensor that its forward pass reads.

    Args:
        weights: Tensors of an ``ADDP`` with ViT encoder and the default token input.

    Raises:
        ValueError: If tensors are missing or unknown.
    """
    renames = addp_renames(count_indexes(weights, 'backbone.layers.'),
                           count_indexes(weights, 'neck.layers.'))
    return apply_table(weights, [row.reversed() for row in renames])


PREFIX = 'backbone.'

BACKBONE_DROPS = (
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
        return apply_table(weights, [_without_prefix(name) for name in names], BACKBONE_DROPS)
    depth = count_indexes(weights, f'{PREFIX}layers.')
    names = [row.target for row in addp_renames(depth, 0) if row.target.startswith(PREFIX)]
    drops: tuple[Drop, ...] = BACKBONE_DROPS
    if not keep_pre_norm:
        names = [name for name in names if not name.startswith(f'{PREFIX}pre_norm.')]
        drops += (PRE_NORM_DROP, )
    return apply_table(weights, [_without_prefix(name) for name in names], drops)


def _without_prefix(name: str) -> Rename:
    return Rename(name, name.removeprefix(PREFIX))
