"""Backbones and necks of dense prediction, in mmengine's root registry for mmdet and mmseg."""
from .simple_fpn import SimpleFPN
from .upernet import ADDPUperViT
from .vitdet import ADDPViTDet

__all__ = ['ADDPUperViT', 'ADDPViTDet', 'SimpleFPN']
