"""Conversion of released and own checkpoints."""
from .convert import DEFAULT_TARGETS, KINDS, TABLES, convert, detect_kind
from .key_mapping import Conversion

__all__ = ['DEFAULT_TARGETS', 'KINDS', 'TABLES', 'Conversion', 'convert', 'detect_kind']
