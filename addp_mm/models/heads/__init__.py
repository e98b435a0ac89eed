"""Heads."""
from .token_head import TokenHead

__all__ = ['TokenHead']
