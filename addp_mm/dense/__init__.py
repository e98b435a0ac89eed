"""Backbones and necks of dense prediction, in mmengine's root registry for mmdet and mmseg."""
from .mmcv_ops import stand_in

stand_in()      # before anything imports mmdet

from .simple_fpn import SimpleFPN  # noqa: E402
from .upernet import ADDPUperViT  # noqa: E402
from .vitdet import ADDPViTDet  # noqa: E402

__all__ = ['ADDPUperViT', 'ADDPViTDet', 'SimpleFPN']
