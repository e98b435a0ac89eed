"""Whether the heads of a detector take its feature maps to be of the strides that they have."""
from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ..models.addp import ADDPViT
from ..models.layers import patch_size_of
from .simple_fpn import SimpleFPN

Strides = list[tuple[float, float]]


def check_strides(model: nn.Module) -> None:
    """See that anchors, points and boxes lie where the feature maps of a pyramid do.

    mmdet takes the strides from the settings of each head: with others, it learns from wrong
    places.

    Args:
        model: A detector; only one of a :class:`SimpleFPN` behind a ViT of this package is looked
            at.

    Raises:
        ValueError: If a head or an extractor has other strides.
    """
    backbone, neck = getattr(model, 'backbone', None), getattr(model, 'neck', None)
    if not isinstance(backbone, ADDPViT) or not isinstance(neck, SimpleFPN):
        return
    patch = patch_size_of(backbone.patch_embed)
    own = [(patch[1] * scale, patch[0] * scale) for scale in neck.scales]
    for name, given in _strides_of(model):
        if given != own[:len(given)]:
            raise ValueError(
                f'model.{name} has the strides {_in_words(given)}, the maps of the SimpleFPN '
                f'behind patches of {patch[0]} x {patch[1]} pixels {_in_words(own[:len(given)])}: '
                'it would look at wrong places. Set these strides there.')


def _strides_of(model: nn.Module) -> Iterator[tuple[str, Strides]]:
    """The strides of heads and of extractors, (width, height) for each level."""
    for name, module in model.named_modules():
        strides = getattr(getattr(module, 'prior_generator', None), 'strides', None)
        strides = strides or getattr(module, 'featmap_strides', None)
        if strides:
            yield name, [tuple(x) if isinstance(x, (list, tuple)) else (x, x) for x in strides]


def _in_words(strides: Strides) -> str:
    """[(4, 4), (8, 8)] as '4, 8'."""
    return ', '.join(f'{x:g}' if x == y else f'{x:g} x {y:g}' for x, y in strides)
