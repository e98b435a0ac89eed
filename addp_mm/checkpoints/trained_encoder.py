"""What the features of an encoder depend on though its tensors do not show it.

These are the heads and the norms of its layers, and its input.
"""
from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from mmpretrain.models.backbones import VisionTransformer
from torch import nn

from ..registry import MODELS
from .run_settings import Differences, class_name, in_words, trained_model

_FAR = 3            # times: a deviation that an encoder which learns would have to get used to
_ROUNDED = 3        # decimals of a mean or a deviation, which are kept in float32
_HEADS, _EPS = 'num_heads', 'norm_cfg.eps'
_NUM_CHANNELS = 3
_CHANNELS = ('to_rgb', 'bgr_to_rgb', 'rgb_to_bgr')
# What preprocessors make of it: mmpretrain's, mmengine's with mmdet's, and mmseg's.
_CONVERTS = ('to_rgb', '_channel_conversion', 'channel_conversion')


def other_heads(meta: Mapping[str, Any] | None, encoder: nn.Module) -> str:
    """Which heads and norms the weights of an encoder were trained with, if not with its own.

    Args:
        meta: The meta data of the weights' checkpoint, with a config that has an encoder or a MAGE.
        encoder: The encoder; only a vision transformer is compared.

    Returns:
        The number of heads, or what a norm adds to the variance (``norm_cfg.eps``), then and now in
        words; empty if they are the same, or unknown.
    """
    if not isinstance(encoder, VisionTransformer):
        return ''
    model = trained_model(meta)
    trained = model.get('backbone') or model.get('token_predictor') or model
    now = {_HEADS: encoder.arch_settings[_HEADS], _EPS: getattr(encoder.layers[0].ln1, 'eps', None)}
    return _in_words({**_heads(trained), **_norm(trained)}, now)


def other_input(meta: Mapping[str, Any] | None, preprocessor: nn.Module | None,
                learns: bool = False) -> str:
    """How the images that an encoder was trained on were prepared, if they are now in another way.

    Args:
        meta: The meta data of the checkpoint of that training.
        preprocessor: The present data preprocessor.
        learns: The encoder is trained further: only images on another scale count.

    Returns:
        Mean, deviation or conversion of the channels in words; empty if they are the same, or
        unknown, or the checkpoint is of a model without an encoder of its own, as a MAGE.
    """
    model = trained_model(meta)
    trained = model.get('data_preprocessor')
    if 'backbone' not in model or not isinstance(trained, dict) or preprocessor is None:
        return ''
    earlier, now = _trained_input(trained), input_of(preprocessor)
    if learns and not _is_far(earlier.get('std', ()), now.get('std', ())):
        return ''
    return _in_words(earlier, now)


def input_of(preprocessor: nn.Module) -> dict[str, Any]:
    """Mean, deviation and order of the channels that a data preprocessor prepares images with.

    One of images that normalises nothing has the mean 0 and the deviation 1.
    """
    found: dict[str, Any] = {}
    is_off = not getattr(preprocessor, '_enable_normalize', True)       # of mmengine's and others'
    for name, neutral in (('mean', 0.), ('std', 1.)):
        values = getattr(preprocessor, name, None)
        if is_off:
            found[name] = [neutral] * _NUM_CHANNELS
        elif values is not None:
            found[name] = [round(value, _ROUNDED) for value in values.flatten().tolist()]
    found['to_rgb'] = any(getattr(preprocessor, name, False) for name in _CONVERTS)
    return found


def _is_far(earlier: Iterable[float], now: Iterable[float]) -> bool:
    return any(a > _FAR * b or b > _FAR * a for a, b in zip(earlier, now, strict=False))


def _in_words(trained: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    found: Differences = {name: (value, now[name]) for name, value in trained.items()
                          if name in now and now[name] != value}
    return in_words(found)


def _heads(trained: Mapping[str, Any]) -> dict[str, int]:
    arch = trained.get('arch')
    sizes = VisionTransformer.arch_zoo.get(arch) if isinstance(arch, str) else arch
    heads = sizes.get(_HEADS) if isinstance(sizes, dict) else None
    return {_HEADS: heads} if isinstance(heads, int) else {}


def _norm(trained: Mapping[str, Any]) -> dict[str, Any]:
    kind = MODELS.module_dict.get(class_name(trained.get('type')))
    norm = trained.get('norm_cfg', _default(kind, 'norm_cfg'))
    return {_EPS: norm['eps']} if isinstance(norm, dict) and 'eps' in norm else {}


def _trained_input(settings: Mapping[str, Any]) -> dict[str, Any]:
    kind = MODELS.module_dict.get(class_name(settings.get('type')))
    found: dict[str, Any] = {}
    for name in ('mean', 'std'):
        values = settings.get(name, _default(kind, name))
        if values is not None:
            found[name] = [round(float(value), _ROUNDED) for value in values]
    found['to_rgb'] = any(settings.get(name, _default(kind, name)) for name in _CHANNELS)
    return found


def _default(kind: type | None, name: str) -> Any:
    """The default of an argument, which a parent may have."""
    for parent in inspect.getmro(kind) if kind else ():
        argument = inspect.signature(parent).parameters.get(name)
        if argument is not None:
            return None if argument.default is argument.empty else argument.default
    return None
