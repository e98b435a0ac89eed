"""Which converter takes which file where."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from ..module_notes import with_notes
from . import addp as addp_checkpoint
from . import mage as mage_checkpoint
from .addp import convert_addp_to_reference, convert_backbone, convert_reference_to_addp
from .key_mapping import Conversion, convert_part, resize_tables
from .mage import convert_mage
from .vq_model import convert_diffusers, convert_taming
from .vqgan import convert_vqgan

# The tensors that tell a kind of file; the first that fits is taken.
KINDS = {
    'reference': ('tokenizer_norm.weight', 'mlm_layer.fc.weight'),
    'mage': ('token_emb.word_embeddings.weight', 'mlm_layer.fc.weight'),
    'addp': ('neck.token_embed.weight', 'head.token_projection.fc.weight'),
    'taming': ('quantize.embedding.weight', 'quant_conv.weight',
               'encoder.mid.block_1.conv1.weight'),
    'diffusers': ('quantize.embedding.weight', 'quant_conv.weight',
                  'encoder.mid_block.resnets.0.conv1.weight'),
    'vqgan': ('quantize.embedding.weight', ),
}

DEFAULT_TARGETS = {'reference': 'addp', 'mage': 'mage', 'addp': 'backbone', 'vqgan': 'vqgan',
                   'taming': 'diffusers', 'diffusers': 'diffusers'}

TABLES = {
    'addp': addp_checkpoint.TABLES,
    'reference': addp_checkpoint.REFERENCE_TABLES,
    'mage': mage_checkpoint.TABLES,
    'backbone': ('pos_embed', ),
    'vqgan': (),
    'diffusers': (),
}


def detect_kind(weights: Mapping[str, Tensor]) -> str:
    """Tell the kind of a file from the names in it.

    Returns:
        'reference' (a released ADDP), 'mage' (a released MAGE), 'addp' (ours), 'vqgan' (of
        MaskGIT's form), 'taming' (a VQGAN of taming-transformers) or 'diffusers' (a ``VQModel``).

    Raises:
        ValueError: If the names are of none of them.
    """
    for kind, names in KINDS.items():
        if all(name in weights for name in names):
            return kind
    known = '; '.join(f'{kind}: {", ".join(names)}' for kind, names in KINDS.items())
    raise ValueError(
        f'Cannot tell what the file is: of its {len(weights)} tensors the first are '
        f'{", ".join(list(weights)[:5])}. A file is known by these tensors: {known}. Own '
        'tokenizers and token predictors, and files converted before, need no conversion.')


def convert(weights: Mapping[str, Tensor], to: str | None = None, kind: str | None = None,
            grid_size: tuple[int, int] | None = None, keep_pre_norm: bool = False) -> Conversion:
    """Convert a state dict.

    Args:
        weights: Tensors of a file.
        to: 'addp', 'mage', 'vqgan', 'diffusers', 'backbone' or 'reference'; None: what is usual
            for the kind.
        kind: See :func:`detect_kind`; None: told from the names.
        grid_size: Resize the position tables to this grid (h, w).
        keep_pre_norm: See :func:`convert_backbone`.

    Raises:
        ValueError: If there is no such conversion, or the file does not have the tensors for it.
    """
    kind = kind or detect_kind(weights)
    if kind not in KINDS:
        raise ValueError(f'kind must be one of {list(KINDS)}, got {kind!r}.')
    to = to or DEFAULT_TARGETS[kind]
    if keep_pre_norm and to != 'backbone':
        raise ValueError(f'keep_pre_norm is for the target \'backbone\', got {to!r}.')
    routes = _routes(keep_pre_norm)
    if (kind, to) not in routes:
        targets = [target for source, target in routes if source == kind]
        raise ValueError(f'A file of kind {kind!r} can become {targets}, got {to!r}.')
    conversion = routes[kind, to](weights)
    conversion.weights = with_notes(conversion.weights, weights, conversion.sources)
    if grid_size is not None:
        resize_tables(conversion, TABLES[to], grid_size)
    return conversion


def _routes(keep_pre_norm: bool) -> dict[tuple[str, str], Callable[..., Conversion]]:
    to_backbone = partial(convert_backbone, keep_pre_norm=keep_pre_norm)
    vqgan_inside = partial(convert_part, prefix='vqgan.', converter=convert_vqgan)
    mage_inside = partial(convert_part, prefix='token_predictor.', converter=convert_mage)
    return {
        ('vqgan', 'vqgan'): convert_vqgan,
        ('taming', 'diffusers'): convert_taming,
        ('diffusers', 'diffusers'): convert_diffusers,
        ('mage', 'mage'): convert_mage,
        ('mage', 'vqgan'): vqgan_inside,
        ('reference', 'addp'): convert_reference_to_addp,
        ('reference', 'backbone'): partial(_reference_to_backbone, to_backbone=to_backbone),
        ('reference', 'mage'): mage_inside,
        ('reference', 'vqgan'): vqgan_inside,
        ('addp', 'backbone'): to_backbone,
        ('addp', 'reference'): convert_addp_to_reference,
    }


def _reference_to_backbone(weights: Mapping[str, Tensor],
                           to_backbone: Callable[..., Conversion]) -> Conversion:
    addp = convert_reference_to_addp(weights)
    backbone = to_backbone(addp.weights)
    return Conversion(
        weights=backbone.weights,
        sources={name: addp.sources[source] for name, source in backbone.sources.items()},
        dropped={**addp.dropped,
                 **{addp.sources[name]: why for name, why in backbone.dropped.items()}})
