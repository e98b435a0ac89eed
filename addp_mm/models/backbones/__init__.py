"""Encoders; any other one of mmpretrain or timm is named by its own type in a config."""
from .addp_vit import ADDPViT

__all__ = ['ADDPViT']
