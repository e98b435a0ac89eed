"""Layers that several models share."""
from .cpu_precision import cpu_has_bfloat16
from .frozen import FrozenModule
from .position_table import resize_position_table, resize_tables_on_load
from .token_patch_embed import IMAGENET_MEAN, IMAGENET_STD, TokenPatchEmbed
from .token_projection import TokenProjection
from .transformer_layer import (
                                TransformerLayer,
                                TransformerLayers,
                                init_table,
                                init_transformer_weights,
)

__all__ = [
    'IMAGENET_MEAN', 'IMAGENET_STD', 'FrozenModule', 'TokenPatchEmbed', 'TokenProjection',
    'TransformerLayer', 'TransformerLayers', 'cpu_has_bfloat16', 'init_table',
    'init_transformer_weights', 'resize_position_table', 'resize_tables_on_load'
]
