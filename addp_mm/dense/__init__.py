"""Backbones and necks of dense prediction, in mmengine's root registry for mmdet and mmseg."""
from . import layer_norm_2d  # noqa: F401  (registers)
from .simple_fpn import SimpleFPN
from .upernet_vit import ADDPUperViT
from .vitdet import ADDPViTDet

__all__ = ['ADDPUperViT', 'ADDPViTDet', 'SimpleFPN']
