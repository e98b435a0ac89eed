"""LayerNorm over the channels of a feature map, as the norm layer 'LN2d' of mmdet's heads."""
from __future__ import annotations

from mmengine.registry import MODELS
from mmpretrain.models.utils import LayerNorm2d

# mmpretrain knows it by this name; in the root registry mmdet and mmseg find it too.
MODELS.register_module(name='LN2d', module=LayerNorm2d)
