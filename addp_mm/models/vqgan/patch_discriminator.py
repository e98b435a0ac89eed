"""A convolutional discriminator that judges overlapping patches.

Shapes: N images of H x W pixels, RGB in [0, 1]; (a, b) patches.
"""
from __future__ import annotations

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...registry import MODELS

_MAX_MULT = 8
_INIT = [
    dict(type='Normal', layer='Conv2d', mean=0, std=0.02),
    dict(type='Normal', layer=['_BatchNorm', '_InstanceNorm', 'GroupNorm'], mean=1, std=0.02),
]


@MODELS.register_module()
class PatchDiscriminator(BaseModule):
    """PatchGAN (pix2pix, arXiv 1611.07004, Sec. 3.2) in the form that taming trains VQGANs with.

    4x4 convolutions: ``num_layers`` of stride 2, one of stride 1, and one to the logits. With
    three strided ones a logit sees 70 x 70 pixels.

    Args:
        in_channels: Channels of the images.
        channels: Channels after the first convolution (taming: 64); doubled by each further one up
            to eight times.
        num_layers: Convolutions of stride 2 (taming: 3). Take fewer for images below 24 pixels.
        norm_cfg: Config of the norms (taming: batch norm); 'SyncBN' where a process has few
            images.
        init_cfg: Config of the start values (taming: N(0, 0.02), norms N(1, 0.02)).

    Raises:
        ValueError: If ``num_layers`` is below 1.
    """

    def __init__(self, in_channels: int = 3, channels: int = 64, num_layers: int = 3,
                 norm_cfg: dict | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg or _INIT)
        if num_layers < 1:
            raise ValueError(f'num_layers must be at least 1, got {num_layers}.')
        norm_cfg = norm_cfg or dict(type='BN')
        widths = [channels * min(2**i, _MAX_MULT) for i in range(num_layers + 1)]
        self.min_size = 3 * 2**num_layers
        self.layers = nn.Sequential(
            _block(in_channels, channels, 2, None),
            *(_block(widths[i - 1], widths[i], 2 if i < num_layers else 1, norm_cfg)
              for i in range(1, num_layers + 1)))
        self.to_logits = nn.Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Judge images.

        Args:
            images: (N, in_channels, H, W), in [0, 1].

        Returns:
            Logits (N, 1, a, b), high where the patch looks real.

        Raises:
            ValueError: If the images are too small for ``num_layers``.
        """
        if min(images.shape[2:]) < self.min_size:
            raise ValueError(f'The discriminator needs images of at least {self.min_size} pixels, '
                             f'got {tuple(images.shape[2:])}. Lower its num_layers.')
        return self.to_logits(self.layers(2 * images - 1))


def _block(in_channels: int, out_channels: int, stride: int, norm_cfg: dict | None) -> ConvModule:
    return ConvModule(
        in_channels, out_channels, 4, stride=stride, padding=1, norm_cfg=norm_cfg,
        act_cfg=dict(type='LeakyReLU', negative_slope=0.2))
