"""From a config and a checkpoint to a model that runs."""
from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import nn

from ..models.layers import FrozenModule
from ..registry import MODELS
from ..weights import load_checkpoint, load_weights

DTYPES = ('float32', 'float64', 'bfloat16', 'float16')
_META_KEY = 'frozen_weights'        # written by FrozenWeightsHook
_LISTED = 3


def build_model(model: str | Path | Config | BaseModel,
                weights: str | Path | None = None) -> BaseModel:
    """Build the model of a config and load its weights.

    Args:
        model: Config file, config, or a built model.
        weights: A checkpoint or weight file; None: the start values, or what a built model has.

    Returns:
        The model on the CPU, or where the built model is.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the config has no model, or the weights are not exactly those of the model.
    """
    if not isinstance(model, nn.Module):
        model = _build(model if isinstance(model, Config) else Config.fromfile(model))
        if weights is None:
            model.init_weights()
            MMLogger.get_current_instance().warning(
                'No weights are given: the model has the start values of its config.')
    if weights is not None:
        load_exactly(model, weights)
        _compare_frozen_files(model, weights)
    return model


def load_exactly(model: nn.Module, path: str | Path) -> None:
    """Load a file whose tensors are those of a model: none missing, none left over.

    The weights of a token predictor alone fit the model that trained it.

    Args:
        model: Gets the weights.
        path: A checkpoint of the model's training, or a converted file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file does not fit the model.
    """
    weights = load_weights(path)
    part = getattr(model, 'token_predictor', None)
    if part is not None and not weights.keys() & model.state_dict().keys():
        model = part
    names = model.state_dict().keys()
    missing, left = names - weights.keys(), weights.keys() - names
    if missing or left:
        raise ValueError(
            f'{path} holds the weights of another model than the {type(model).__name__} of the '
            f'config: {_few(missing)} missing, {_few(left)} left over. Take the config it was '
            'trained with; a released file must be converted first '
            '(tools/convert_checkpoint.py).')
    try:
        model.load_state_dict(weights)
    except (RuntimeError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if 'size mismatch' in line]
        raise ValueError(
            f'{path} holds the weights of a {type(model).__name__} of other sizes than the '
            f'config has: {" ".join(lines[:_LISTED]) or error}') from error


def set_dtype(model: nn.Module, dtype: str, device: torch.device) -> torch.dtype | None:
    """Choose the precision of a model and of the tokenizer it holds.

    Args:
        model: Changed in place.
        dtype: One of :data:`DTYPES`.
        device: Where it will run. On a CPU bfloat16 stands in for float16.

    Returns:
        The dtype to run the model under autocast with; None for full precision.

    Raises:
        ValueError: If ``dtype`` is unknown.
    """
    if dtype not in DTYPES:
        raise ValueError(f'dtype must be one of {DTYPES}, got {dtype!r}.')
    wanted = getattr(torch, dtype)
    for module in model.modules():
        if isinstance(module, FrozenModule):
            module.dtype = torch.float32 if dtype == 'float64' else wanted
    if dtype == 'float64':
        model.double()
        model.data_preprocessor.tokenizer.load()
        model.data_preprocessor.tokenizer.description.double()
    if dtype in ('float32', 'float64'):
        return None
    return torch.bfloat16 if device.type == 'cpu' else wanted


def _build(cfg: Config) -> BaseModel:
    if 'model' not in cfg:
        raise ValueError(f'The config {cfg.filename or ""} has no `model`.')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        return MODELS.build(cfg.model)


def _few(names: set[str]) -> str:
    """How many tensors, and the first of their names."""
    first = ', '.join(sorted(names)[:_LISTED])
    return f'{len(names)} tensors' + (f' ({first}...)' if names else '')


def _compare_frozen_files(model: nn.Module, weights: str | Path) -> None:
    """Warn when a checkpoint was trained with another tokenizer file than the config names."""
    content = load_checkpoint(weights)
    meta = content.get('meta') if isinstance(content, dict) else None
    saved = (meta or {}).get(_META_KEY, {})
    name = 'data_preprocessor.tokenizer'
    tokenizer = model.data_preprocessor.tokenizer
    if name in saved and saved[name] != tokenizer.sha256:
        MMLogger.get_current_instance().warning(
            f'{weights} was trained with another tokenizer file than {tokenizer.checkpoint}, its '
            f'SHA-256 is {saved[name]}. Unless the same weights were only written anew, take that '
            'file: the tokens of another tokenizer mean something else.')
