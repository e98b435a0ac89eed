"""Released MaskGIT-style VQGAN files -> the ``VQGAN`` tokenizer, whose names are the same."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from torch import Tensor

from .key_mapping import Conversion, Drop, Rename, apply_table, count_indexes, expand

DROPS = (
    Drop('loss.*', 'perceptual loss and discriminator of the training'),
    Drop('discriminator.*', 'discriminator of the training'),
)

# Parts of the VQGANs of taming-transformers that the MaskGIT-style one does not have.
_FOREIGN = {
    'quant_conv.*': 'convolutions around the codebook',
    'post_quant_conv.*': 'convolutions around the codebook',
    '*coder.*.attn*': 'attention layers',
    'encoder.*.downsample.*': 'strided convolutions in the encoder',
}


def convert_vqgan(weights: Mapping[str, Tensor]) -> Conversion:
    """Check the names of a VQGAN and drop what only its training needs.

    Args:
        weights: Tensors of a file in the layout of the release that MAGE and ADDP use.

    Raises:
        ValueError: If the file is of another VQGAN, or lacks or has other tensors.
    """
    foreign = sorted({part for pattern, part in _FOREIGN.items()
                      for name in weights if fnmatchcase(name, pattern)})
    if foreign:
        raise ValueError(
            f'The VQGAN of this file has {", ".join(foreign)}: it is one of taming-transformers\' '
            'architecture, which computes other things than the MaskGIT-style VQGAN of ADDP. '
            'As kind \'taming\' it becomes a tokenizer of type DiffusersVQModel; the MaskGIT-style '
            'file is released as vqgan_jax_strongaug.ckpt.')
    return apply_table(weights, expand(Rename(n, n) for n in _names(weights)), DROPS)


def _names(weights: Mapping[str, Tensor]) -> Iterator[str]:
    """Names of a VQGAN with as many levels and blocks as the file; '{p}' is weight and bias."""
    num_levels = count_indexes(weights, 'encoder.down.')
    num_blocks = count_indexes(weights, 'encoder.down.0.block.')
    for part, levels in (('encoder', 'down'), ('decoder', 'up')):
        blocks = [f'{part}.{levels}.{i}.block.{j}' for i in range(num_levels)
                  for j in range(num_blocks)]
        for block in [*blocks, f'{part}.mid.block_1', f'{part}.mid.block_2']:
            yield from _block_names(block, weights)
        yield f'{part}.norm_out.{{p}}'
        yield f'{part}.conv_out.{{p}}'
    yield from (f'decoder.up.{i}.upsample.conv.{{p}}' for i in range(1, num_levels))
    yield from ('encoder.conv_in.weight', 'decoder.conv_in.{p}', 'quantize.embedding.weight')


def _block_names(block: str, weights: Mapping[str, Tensor]) -> Iterator[str]:
    for i in (1, 2):
        yield f'{block}.norm{i}.{{p}}'
        yield f'{block}.conv{i}.weight'
    conv = weights.get(f'{block}.conv1.weight')
    if conv is not None and conv.shape[0] != conv.shape[1]:
        yield f'{block}.nin_shortcut.weight'
