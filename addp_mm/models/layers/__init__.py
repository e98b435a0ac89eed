"""Layers that several models share."""
from .exporting import interpolate_position_table, is_exporting
from .finite import require_finite
from .frozen import FROZEN_WEIGHTS, FrozenModule, compare_tokenizer, cpu_has_bfloat16
from .masked_tokens import TARGETS, VAL_RATIOS, MaskedTokenLoss, score_masked_tokens, val_generators
from .pixel_range import check_range, check_ready
from .token_patch_embed import IMAGENET_MEAN, IMAGENET_STD, TokenPatchEmbed, patch_size_of
from .transformer import (
    TokenProjection,
    TransformerLayer,
    TransformerLayers,
    init_table,
    init_transformer_weights,
)

__all__ = [
    'FROZEN_WEIGHTS', 'FrozenModule', 'IMAGENET_MEAN', 'IMAGENET_STD', 'MaskedTokenLoss', 'TARGETS',
    'TokenPatchEmbed', 'TokenProjection', 'TransformerLayer', 'TransformerLayers', 'VAL_RATIOS',
    'check_range', 'check_ready', 'compare_tokenizer', 'cpu_has_bfloat16', 'init_table',
    'init_transformer_weights', 'interpolate_position_table', 'is_exporting', 'patch_size_of',
    'require_finite', 'score_masked_tokens', 'val_generators'
]
