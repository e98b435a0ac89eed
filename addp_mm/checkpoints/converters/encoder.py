"""Any file that has an encoder in it -> the encoder alone, by the names of ``ADDPViT``."""
from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..module_notes import renamed, with_notes
from .convert import KINDS, convert
from .key_mapping import Conversion
from .mage import convert_mage, convert_mage_to_encoder

BACKBONE = 'backbone.'
# Where a MAGE of ours stands in its own file and in the checkpoint of its training.
_PREDICTORS = ('', 'token_predictor.')
_MAGE_NAMES = ('token_embed.weight', 'embed_norm.weight', 'decoder_embed.weight')


def convert_to_encoder(weights: Mapping[str, Tensor], prefix: str | None = None,
                       num_codes: int | None = None) -> Conversion:
    """Take the encoder out of a file, whatever the file is.

    Known are released files of ADDP and MAGE, a MAGE of ours with or without its training, and
    every checkpoint of ours, mmpretrain's, mmdet's or mmseg's with the encoder under ``prefix``. A
    file without such names is taken to be an encoder alone. What is of another kind passes too:
    whoever loads the result must look for missing names.

    Args:
        weights: Tensors of the file.
        prefix: Where the encoder stands; None: 'backbone.'.
        num_codes: Number K of codes of an encoder that reads tokens; None: it reads pixels.

    Returns:
        The encoder, the input norm (``pre_norm``) included where the file has one.

    Raises:
        ValueError: If it is a MAGE, but the encoder reads pixels, or the class token's row of the
            embedding is not known; if a released file lacks tensors.
    """
    if _has(weights, KINDS['reference']):
        return convert(weights, 'backbone', 'reference', keep_pre_norm=True)
    mage = _find_mage(weights)
    if mage is None:
        return _take_prefix(weights, prefix or BACKBONE)
    if num_codes is None:
        raise ValueError('The file holds a MAGE, which reads tokens, for an encoder that reads '
                         'pixels: give the encoder a `tokenizer`, or name a file of ADDP.')
    encoder = convert_mage_to_encoder(mage.weights, num_codes)
    return Conversion(
        weights=with_notes(encoder.weights, mage.weights, encoder.sources),
        sources={new: mage.sources[name] for new, name in encoder.sources.items()},
        dropped={**mage.dropped,
                 **{mage.sources[name]: why for name, why in encoder.dropped.items()}})


def _find_mage(weights: Mapping[str, Tensor]) -> Conversion | None:
    if _has(weights, KINDS['mage']):
        return convert_mage(weights)
    for prefix in _PREDICTORS:
        if _has(weights, [prefix + name for name in _MAGE_NAMES]):
            return _take_prefix(weights, prefix)
    return None


def _take_prefix(weights: Mapping[str, Tensor], prefix: str) -> Conversion:
    if prefix and not prefix.endswith('.'):
        prefix += '.'
    if not any(name.startswith(prefix) for name in weights):
        prefix = ''
    sources = {name.removeprefix(prefix): name for name in weights if name.startswith(prefix)}
    return Conversion(
        weights=renamed(weights, sources),
        sources=sources,
        dropped={name: f'not under {prefix!r}' for name in weights if not name.startswith(prefix)})


def _has(weights: Mapping[str, Tensor], names: list[str] | tuple[str, ...]) -> bool:
    return all(name in weights for name in names)
