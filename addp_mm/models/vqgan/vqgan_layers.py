"""Convolutional blocks of the MaskGIT-style VQGAN.

The parameter names are those of the released weight file. Shapes: N images, C channels, H x W
places.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from mmpretrain.models.utils import build_norm_layer
from torch import Tensor, nn

RELEASED_NORM = dict(type='GN', num_groups=32, eps=1e-6)
SHORTCUTS = ('branch', 'input')


def build_norm(norm: Mapping[str, Any], channels: int) -> nn.Module:
    """A norm layer of OpenMMLab; GroupNorm takes ``channels_per_group`` for ``num_groups``, too.

    Raises:
        ValueError: If the groups do not divide the channels.
    """
    cfg = dict(norm)
    per_group = cfg.pop('channels_per_group', None)
    divisor = per_group or cfg.get('num_groups', 1)
    if channels % divisor:
        raise ValueError(f'For the norm {dict(norm)}, channels must be a multiple of {divisor}, '
                         f'got {channels}.')
    if per_group:
        cfg['num_groups'] = channels // per_group
    return build_norm_layer(cfg, channels)


@dataclass(frozen=True)
class BlockStyle:
    """What the blocks of a network have in common.

    Attributes:
        norm: Config of the norm layers, see :func:`build_norm`.
        shortcut: What the 1x1 shortcut of a block reads that changes the number of channels: the
            'branch' (as released) or the block's 'input'.

    Raises:
        ValueError: If ``shortcut`` is neither.
    """

    norm: Mapping[str, Any]
    shortcut: str

    def __post_init__(self) -> None:
        if self.shortcut not in SHORTCUTS:
            raise ValueError(f'shortcut must be one of {SHORTCUTS}, got {self.shortcut!r}.')


class ResidualBlock(nn.Module):
    """Norm, SiLU, 3x3 convolution, twice, and a shortcut.

    Where the number of channels changes, the released network applies its 1x1 shortcut to the
    branch and not to the block's input: out = shortcut(h) + h. Its weights need that.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        style: Norm and shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.norm1 = build_norm(style.norm, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = build_norm(style.norm, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.changes_channels = in_channels != out_channels
        self.reads_branch = style.shortcut == 'branch'
        if self.changes_channels:
            self.nin_shortcut = nn.Conv2d(out_channels if self.reads_branch else in_channels,
                                          out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W)."""
        branch = self.conv1(F.silu(self.norm1(x)))
        branch = self.conv2(F.silu(self.norm2(branch)))
        if self.changes_channels:
            x = self.nin_shortcut(branch if self.reads_branch else x)
        return x + branch


class Upsample(nn.Module):
    """Nearest neighbour x2, then a 3x3 convolution.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, 2H, 2W)."""
        return self.conv(F.interpolate(x, scale_factor=2., mode='nearest'))


class Level(nn.Module):
    """The residual blocks of one resolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        num_blocks: Number of residual blocks.
        style: Norm and shortcut of the blocks.
        upsamples: Double the resolution at the end.
    """

    def __init__(self, in_channels: int, out_channels: int, num_blocks: int, style: BlockStyle,
                 upsamples: bool = False) -> None:
        super().__init__()
        widths = [in_channels] + [out_channels] * num_blocks
        self.block = nn.Sequential(*(ResidualBlock(i, o, style)
                                     for i, o in zip(widths[:-1], widths[1:], strict=True)))
        self.upsample = Upsample(out_channels) if upsamples else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H, W), or (..., 2H, 2W)."""
        return self.upsample(self.block(x))


class Middle(nn.Module):
    """Two residual blocks at the lowest resolution.

    Args:
        channels: Channels of input and output.
        style: Norm and shortcut of the blocks.
    """

    def __init__(self, channels: int, style: BlockStyle) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels, style)
        self.block_2 = ResidualBlock(channels, channels, style)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) to the same shape."""
        return self.block_2(self.block_1(x))


class Encoder(nn.Module):
    """Images to latents; 2x2 average pooling between the resolutions.

    Args:
        in_channels: Channels of the images.
        patch_size: Side p of the patches of pixels that stand for a place of the finest resolution.
        widths: Channels of each resolution, the finest first.
        num_blocks: Residual blocks of each resolution.
        code_dims: Channels of the latents.
        style: Norm and shortcut of the blocks.
    """

    def __init__(self, in_channels: int, patch_size: int, widths: Sequence[int], num_blocks: int,
                 code_dims: int, style: BlockStyle) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.conv_in = nn.Conv2d(in_channels * patch_size**2, widths[0], 3, padding=1, bias=False)
        inputs = (widths[0], *widths[:-1])
        self.down = nn.ModuleList(
            Level(i, o, num_blocks, style) for i, o in zip(inputs, widths, strict=True))
        self.mid = Middle(widths[-1], style)
        self.norm_out = build_norm(style.norm, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], code_dims, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, code_dims, h, w)."""
        x = self.conv_in(F.pixel_unshuffle(images, self.patch_size))
        for i, level in enumerate(self.down):
            x = level(x if i == 0 else F.avg_pool2d(x, 2))
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Latents to images; no activation at the output.

    Args:
        out_channels: Channels of the images.
        patch_size: Side p of the patches of pixels that stand for a place of the finest resolution.
        widths: Channels of each resolution, the finest first.
        num_blocks: Residual blocks of each resolution.
        code_dims: Channels of the latents.
        style: Norm and shortcut of the blocks.
    """

    def __init__(self, out_channels: int, patch_size: int, widths: Sequence[int], num_blocks: int,
                 code_dims: int, style: BlockStyle) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.conv_in = nn.Conv2d(code_dims, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1], style)
        inputs = (*widths[1:], widths[-1])
        self.up = nn.ModuleList(
            Level(inputs[i], widths[i], num_blocks, style, upsamples=i > 0)
            for i in range(len(widths)))
        self.norm_out = build_norm(style.norm, widths[0])
        self.conv_out = nn.Conv2d(widths[0], out_channels * patch_size**2, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        """(N, code_dims, h, w) to (N, out_channels, H, W)."""
        x = self.mid(self.conv_in(latents))
        for level in reversed(self.up):
            x = level(x)
        return F.pixel_shuffle(self.conv_out(F.silu(self.norm_out(x))), self.patch_size)
