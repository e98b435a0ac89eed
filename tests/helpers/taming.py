"""The VQGAN of taming-transformers (arXiv 2012.09841, App. B), as functions of its weights.

Written from the published description: GroupNorm of 32 groups and swish before each convolution,
self-attention over all places at the lowest resolution, strided convolutions that pad below and to
the right, doubling by nearest neighbours, and one residual block more in each level of the decoder.
"""
from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]
WIDTHS = (32, 64)           # of the resolutions, the finest first: stride 2
LATENTS, CODES, CODE_DIMS = 24, 20, 16


def taming_weights(generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights by the names of a file: a block in each level, attention in the lowest one."""
    shapes: dict[str, tuple[int, ...]] = {}
    last = len(WIDTHS) - 1

    def conv(name: str, before: int, after: int, size: int) -> None:
        shapes.update({f'{name}.weight': (after, before, size, size), f'{name}.bias': (after, )})

    def norm(name: str, width: int) -> None:
        shapes.update({f'{name}.weight': (width, ), f'{name}.bias': (width, )})

    def block(name: str, before: int, after: int) -> None:
        for i, width in ((1, before), (2, after)):
            norm(f'{name}.norm{i}', width)
            conv(f'{name}.conv{i}', width, after, 3)
        if before != after:
            conv(f'{name}.nin_shortcut', before, after, 1)

    def attention(name: str, width: int) -> None:
        norm(f'{name}.norm', width)
        for part in ('q', 'k', 'v', 'proj_out'):
            conv(f'{name}.{part}', width, width, 1)

    for part, before, after in (('encoder', 3, LATENTS), ('decoder', LATENTS, 3)):
        ends = (0, last) if part == 'encoder' else (last, 0)
        conv(f'{part}.conv_in', before, WIDTHS[ends[0]], 3)
        norm(f'{part}.norm_out', WIDTHS[ends[1]])
        conv(f'{part}.conv_out', WIDTHS[ends[1]], after, 3)
        for i in (1, 2):
            block(f'{part}.mid.block_{i}', WIDTHS[last], WIDTHS[last])
        attention(f'{part}.mid.attn_1', WIDTHS[last])
    for i, width in enumerate(WIDTHS):
        block(f'encoder.down.{i}.block.0', WIDTHS[max(0, i - 1)], width)
        block(f'decoder.up.{i}.block.0', WIDTHS[min(last, i + 1)], width)
        block(f'decoder.up.{i}.block.1', width, width)
        if i < last:
            conv(f'encoder.down.{i}.downsample.conv', width, width, 3)
        if i > 0:
            conv(f'decoder.up.{i}.upsample.conv', width, width, 3)
    attention(f'encoder.down.{last}.attn.0', WIDTHS[last])
    for j in (0, 1):
        attention(f'decoder.up.{last}.attn.{j}', WIDTHS[last])
    conv('quant_conv', LATENTS, CODE_DIMS, 1)
    conv('post_quant_conv', CODE_DIMS, LATENTS, 1)
    shapes['quantize.embedding.weight'] = (CODES, CODE_DIMS)
    return {name: _random(shape, generator) for name, shape in shapes.items()}


def encode(weights: Weights, pixels: Tensor) -> Tensor:
    """Pixels (N, 3, H, W) in [-1, 1] to ids (N, h, w)."""
    x = _conv(weights, 'encoder.conv_in', pixels)
    for i in range(len(WIDTHS)):
        x = _level(weights, f'encoder.down.{i}', x, num_blocks=1)
        if i < len(WIDTHS) - 1:
            x = F.conv2d(F.pad(x, (0, 1, 0, 1)), *_of(weights, f'encoder.down.{i}.downsample.conv'),
                         stride=2)
    latents = _conv(weights, 'quant_conv', _end(weights, 'encoder', _middle(weights, 'encoder', x)))
    codes = weights['quantize.embedding.weight']
    return (latents[:, None] - codes[None, :, :, None, None]).square().sum(dim=2).argmin(dim=1)


def decode(weights: Weights, token_ids: Tensor) -> Tensor:
    """Ids (N, h, w) to pixels (N, 3, H, W) around [-1, 1]."""
    codes = weights['quantize.embedding.weight'][token_ids].permute(0, 3, 1, 2)
    x = _middle(weights, 'decoder',
                _conv(weights, 'decoder.conv_in', _conv(weights, 'post_quant_conv', codes)))
    for i in reversed(range(len(WIDTHS))):
        x = _level(weights, f'decoder.up.{i}', x, num_blocks=2)
        if i > 0:
            doubled = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
            x = _conv(weights, f'decoder.up.{i}.upsample.conv', doubled)
    return _end(weights, 'decoder', x)


def _level(weights: Weights, name: str, x: Tensor, num_blocks: int) -> Tensor:
    for j in range(num_blocks):
        x = _block(weights, f'{name}.block.{j}', x)
        if f'{name}.attn.{j}.q.weight' in weights:
            x = _attention(weights, f'{name}.attn.{j}', x)
    return x


def _middle(weights: Weights, part: str, x: Tensor) -> Tensor:
    x = _attention(weights, f'{part}.mid.attn_1', _block(weights, f'{part}.mid.block_1', x))
    return _block(weights, f'{part}.mid.block_2', x)


def _end(weights: Weights, part: str, x: Tensor) -> Tensor:
    return _conv(weights, f'{part}.conv_out', _swish(_norm(weights, f'{part}.norm_out', x)))


def _block(weights: Weights, name: str, x: Tensor) -> Tensor:
    branch = x
    for i in (1, 2):
        branch = _swish(_norm(weights, f'{name}.norm{i}', branch))
        branch = _conv(weights, f'{name}.conv{i}', branch)
    if f'{name}.nin_shortcut.weight' in weights:
        x = _conv(weights, f'{name}.nin_shortcut', x)
    return x + branch


def _attention(weights: Weights, name: str, x: Tensor) -> Tensor:
    normed = _norm(weights, f'{name}.norm', x)
    q, k, v = (_conv(weights, f'{name}.{part}', normed).flatten(2) for part in 'qkv')
    shares = (q.transpose(1, 2) @ k / q.shape[1]**0.5).softmax(dim=2)       # (N, from, to)
    return x + _conv(weights, f'{name}.proj_out', (v @ shares.transpose(1, 2)).view_as(x))


def _norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    return F.group_norm(x, 32, *_of(weights, name), eps=1e-6)


def _conv(weights: Weights, name: str, x: Tensor) -> Tensor:
    weight, bias = _of(weights, name)
    return F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2)


def _of(weights: Weights, name: str) -> tuple[Tensor, Tensor]:
    return weights[f'{name}.weight'], weights[f'{name}.bias']


def _swish(x: Tensor) -> Tensor:
    return x * x.sigmoid()


def _random(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    fan_in = max(1, torch.Size(shape[1:]).numel())
    return torch.randn(shape, generator=generator) / fan_in**0.5
