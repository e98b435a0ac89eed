"""VQGAN files of taming-transformers, and older ones of diffusers -> diffusers' ``VQModel``.

Both are one network by two sets of names. Besides the MaskGIT-style VQGAN it has attention, strided
convolutions, one block more in each level of the decoder, and 1x1 convolutions at the codebook.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from .key_mapping import Conversion, Drop, Rename, apply_table, count_indexes, expand

DROPS = (
    Drop('loss.*', 'perceptual loss and discriminator of the training'),
    Drop('model_ema.*', 'averages of the weights'),
)

_BLOCK = ('norm1', 'conv1', 'norm2', 'conv2')
_ATTENTION = {
    'norm': 'group_norm', 'q': 'to_q', 'k': 'to_k', 'v': 'to_v', 'proj_out': 'to_out.0'
}
# Of diffusers' first versions, whose files are still handed out.
_OLD_ATTENTION = {'query': 'to_q', 'key': 'to_k', 'value': 'to_v', 'proj_attn': 'to_out.0'}


def convert_taming(weights: Mapping[str, Tensor]) -> Conversion:
    """Give a VQGAN of taming-transformers the names of diffusers' ``VQModel``.

    Args:
        weights: Tensors of a file such as ``last.ckpt`` of the 16384 codes of ImageNet.

    Raises:
        ValueError: If tensors are missing or unknown, for example those of a Gumbel quantiser.
    """
    return apply_table(weights, expand(_rows(weights)), DROPS)


def convert_diffusers(weights: Mapping[str, Tensor]) -> Conversion:
    """Bring the attention of an older file of diffusers to its names of today.

    Args:
        weights: Tensors of a ``VQModel``, old or new.
    """
    return apply_table(weights, [Rename(name, _renewed(name)) for name in weights])


def vq_model_config(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """The arguments of the ``VQModel`` that converted weights of taming-transformers fit."""
    levels = range(count_indexes(weights, 'encoder.down_blocks.'))
    down, up = (tuple(f'{"Attn" if f"{part}.{i}.attentions.0.to_q.weight" in weights else ""}{kind}'
                      for i in levels)
                for part, kind in (('encoder.down_blocks', 'DownEncoderBlock2D'),
                                   ('decoder.up_blocks', 'UpDecoderBlock2D')))
    code_dims, latent_channels = weights['quant_conv.weight'].shape[:2]
    return dict(
        down_block_types=down, up_block_types=up,
        block_out_channels=tuple(
            weights[f'encoder.down_blocks.{i}.resnets.0.conv2.weight'].shape[0] for i in levels),
        layers_per_block=count_indexes(weights, 'encoder.down_blocks.0.resnets.'),
        latent_channels=latent_channels, vq_embed_dim=code_dims,
        num_vq_embeddings=len(weights['quantize.embedding.weight']))


def _rows(weights: Mapping[str, Tensor]) -> Iterator[Rename]:
    num_levels = count_indexes(weights, 'encoder.down.')
    num_blocks = count_indexes(weights, 'encoder.down.0.block.')
    for part in ('encoder', 'decoder'):
        for theirs, ours in (('conv_in', ) * 2, ('norm_out', 'conv_norm_out'), ('conv_out', ) * 2):
            yield Rename(f'{part}.{theirs}.{{p}}', f'{part}.{ours}.{{p}}')
        for j in (0, 1):
            yield from _block(weights, f'{part}.mid.block_{j + 1}', f'{part}.mid_block.resnets.{j}')
        yield from _attention(f'{part}.mid.attn_1', f'{part}.mid_block.attentions.0')
    for i in range(num_levels):
        up = num_levels - 1 - i         # diffusers counts in the order of the computation
        yield from _level(weights, f'encoder.down.{i}', f'encoder.down_blocks.{i}', num_blocks)
        yield from _level(weights, f'decoder.up.{i}', f'decoder.up_blocks.{up}', num_blocks + 1)
        if up:
            yield Rename(f'encoder.down.{i}.downsample.conv.{{p}}',
                         f'encoder.down_blocks.{i}.downsamplers.0.conv.{{p}}')
        if i:
            yield Rename(f'decoder.up.{i}.upsample.conv.{{p}}',
                         f'decoder.up_blocks.{up}.upsamplers.0.conv.{{p}}')
    for name in ('quant_conv.{p}', 'post_quant_conv.{p}', 'quantize.embedding.weight'):
        yield Rename(name, name)


def _level(weights: Mapping[str, Tensor], source: str, target: str,
           num_blocks: int) -> Iterator[Rename]:
    for j in range(num_blocks):
        yield from _block(weights, f'{source}.block.{j}', f'{target}.resnets.{j}')
        if any(name.startswith(f'{source}.attn.') for name in weights):
            yield from _attention(f'{source}.attn.{j}', f'{target}.attentions.{j}')


def _block(weights: Mapping[str, Tensor], source: str, target: str) -> Iterator[Rename]:
    for name in _BLOCK:
        yield Rename(f'{source}.{name}.{{p}}', f'{target}.{name}.{{p}}')
    conv = weights.get(f'{source}.conv1.weight')
    if conv is not None and conv.shape[0] != conv.shape[1]:
        yield Rename(f'{source}.nin_shortcut.{{p}}', f'{target}.conv_shortcut.{{p}}')


def _attention(source: str, target: str) -> Iterator[Rename]:
    for theirs, ours in _ATTENTION.items():
        yield Rename(f'{source}.{theirs}.{{p}}', f'{target}.{ours}.{{p}}', _without_places)


def _without_places(weight: Tensor) -> Tensor:
    """A 1x1 convolution (C, C, 1, 1) as the matrix of a linear layer; others stay."""
    return weight.flatten(1) if weight.ndim == 4 else weight


def _renewed(name: str) -> str:
    stem, _, last = name.rpartition('.')
    before, _, part = stem.rpartition('.')
    return f'{before}.{_OLD_ATTENTION[part]}.{last}' if part in _OLD_ATTENTION else name
