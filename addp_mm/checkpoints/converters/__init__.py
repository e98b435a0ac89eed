"""Conversion of released and own checkpoints."""
from .convert import DEFAULT_TARGETS, KINDS, TABLES, convert, detect_kind
from .encoder import convert_to_encoder
from .key_mapping import Conversion
from .vq_model import vq_model_config

__all__ = [
    'Conversion', 'DEFAULT_TARGETS', 'KINDS', 'TABLES', 'convert', 'convert_to_encoder',
    'detect_kind', 'vq_model_config'
]
