"""The simple feature pyramid of ViTDet (arXiv 2203.16527).

Shapes: N images, (h, w) grid of the backbone, D backbone channels, C pyramid channels.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_norm_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmpretrain.models.utils import LayerNorm2d
from torch import Tensor, nn

# mmpretrain knows it by this name; in the root registry mmdet and mmseg find it too.
MODELS.register_module(name='LN2d', module=LayerNorm2d)


@MODELS.register_module()
class SimpleFPN(BaseModule):
    """Feature maps of several strides from the last map of a plain ViT.

    Transposed convolutions enlarge the map 4 and 2 times, max pooling halves it; each level then
    has a 1 x 1 and a 3 x 3 convolution with a norm each. From the backbone's stride 16 come the
    strides 4, 8, 16 and 32, and 64 by taking every second place of the last one.

    Args:
        in_channels: Channels D of the backbone's map: 768 for ViT-B, 1024 for ViT-L.
        out_channels: Channels C of every level.
        num_outs: Number of levels, at least 4; those from the fifth on halve the last one.
        norm_cfg: Norm layers; LayerNorm over the channels (ViTDet).
        init_cfg: Start values.

    Attributes:
        scales: Stride of each level, over that of the backbone.

    Raises:
        ValueError: If ``num_outs`` is below 4 or 4 does not divide ``in_channels``.
    """

    def __init__(self, in_channels: int, out_channels: int = 256, num_outs: int = 5,
                 norm_cfg: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if num_outs < 4 or in_channels % 4:
            raise ValueError('The pyramid needs num_outs of at least 4 and in_channels divisible '
                             f'by 4, got {num_outs=}, {in_channels=}.')
        self.num_outs = num_outs
        self.scales = [2.**level for level in range(-2, num_outs - 2)]
        norm_cfg = norm_cfg or dict(type='LN2d', eps=1e-6)
        half, quarter = in_channels // 2, in_channels // 4
        self.rescales = nn.ModuleList([
            nn.Sequential(
                nn.ConvTranspose2d(in_channels, half, 2, stride=2),
                build_norm_layer(norm_cfg, half)[1],
                nn.GELU(),
                nn.ConvTranspose2d(half, quarter, 2, stride=2)),
            nn.ConvTranspose2d(in_channels, half, 2, stride=2),
            nn.Identity(),
            nn.MaxPool2d(2),
        ])
        self.convs = nn.ModuleList(
            nn.Sequential(
                ConvModule(channels, out_channels, 1, norm_cfg=norm_cfg, act_cfg=None),
                ConvModule(out_channels, out_channels, 3, padding=1, norm_cfg=norm_cfg,
                           act_cfg=None))
            for channels in (quarter, half, in_channels, in_channels))

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Build the pyramid.

        Args:
            inputs: The backbone's outputs, of which the last (N, D, h, w) is used.

        Returns:
            (N, C, 4h, 4w), (N, C, 2h, 2w), (N, C, h, w), (N, C, h // 2, w // 2), ...
        """
        outs = [conv(rescale(inputs[-1]))
                for rescale, conv in zip(self.rescales, self.convs, strict=True)]
        while len(outs) < self.num_outs:
            outs.append(F.max_pool2d(outs[-1], 1, stride=2))
        return tuple(outs)
