"""Layers that several models share."""
from .cpu_precision import cpu_has_bfloat16
from .frozen import FrozenModule
from .token_patch_embed import IMAGENET_MEAN, IMAGENET_STD, TokenPatchEmbed
from .token_projection import TokenProjection
from .transformer_layer import (
    TransformerLayer,
    TransformerLayers,
    init_table,
    init_transformer_weights,
)

__all__ = [
    'FrozenModule', 'IMAGENET_MEAN', 'IMAGENET_STD', 'TokenPatchEmbed', 'TokenProjection',
    'TransformerLayer', 'TransformerLayers', 'cpu_has_bfloat16', 'init_table',
    'init_transformer_weights'
]
