"""Decoders from features to tokens."""
from .token_decoder import TokenDecoder

__all__ = ['TokenDecoder']
