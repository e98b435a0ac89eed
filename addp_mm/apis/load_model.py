"""From a config and a checkpoint to a model that runs."""
from __future__ import annotations

from pathlib import Path

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..checkpoints.finite_weights import check_finite
from ..checkpoints.fit import check_complete, load_what_fits
from ..checkpoints.run_settings import OTHER_MODEL, other_model
from ..checkpoints.weight_files import load_checkpoint, meta_of, state_dict_of
from ..config_errors import errors_explained
from ..config_file import model_of
from ..models.layers import compare_tokenizer
from ..registry import MODELS
from .model_source import read_config


def build_model(model: str | Path | Config | BaseModel,
                weights: str | Path | None = None) -> BaseModel:
    """Build the model of a config and load its weights.

    Args:
        model: Config file, name of a released model, config, or a built model.
        weights: A checkpoint or weight file; None: those of the released model, what a built model
            has, or the start values of a config.

    Returns:
        The model on the CPU, or where the built model is.

    Raises:
        FileNotFoundError: If a file does not exist.
        ValueError: If the config has no model, or the weights are not exactly those of the model.
    """
    if isinstance(model, (str, Path)):
        model, weights = read_config(model, weights)
    cfg = model if isinstance(model, Config) else None
    if cfg is not None:
        model = build_untrained(cfg)
        if weights is None:
            model.init_weights()
            MMLogger.get_current_instance().warning(
                'No weights are given: the model has the start values of its config.')
    if weights is not None:
        content = load_checkpoint(weights)
        load_exactly(model, state_dict_of(content, weights), weights)
        meta = meta_of(content)
        if tokenizer := getattr(model.data_preprocessor, 'tokenizer', None):    # not of classifiers
            compare_tokenizer(tokenizer, meta, weights)
        if changes := other_model(meta, cfg):
            MMLogger.get_current_instance().warning(OTHER_MODEL.format(weights, changes))
    return model


def load_exactly(model: nn.Module, weights: dict[str, Tensor], path: str | Path) -> None:
    """Load tensors that are those of a model: none missing, none left over.

    The weights of a token predictor alone fit the model that trained it.

    Args:
        model: Gets the weights.
        weights: The tensors of a checkpoint of the model's training, or of a converted file.
        path: That file, for messages.

    Raises:
        ValueError: If the file does not fit the model.
    """
    part = getattr(model, 'token_predictor', None)
    if part is not None and not weights.keys() & model.state_dict().keys():
        model = part
    fit = load_what_fits(model, weights)
    if fit.left_over and not fit.unloaded:
        raise ValueError(f'{path} holds more than the weights of the {type(model).__name__} of the '
                         f'config: {fit}. Take the config it was trained with.')
    check_complete(model, fit, path)
    check_finite(weights, path)


def build_untrained(cfg: Config) -> BaseModel:
    """Build the model of a config; neither start values nor files of weights are read.

    Raises:
        ValueError: If the config has no model, or the model cannot be built.
    """
    model = model_of(cfg)
    scope = cfg.get('default_scope', 'mmpretrain')
    with DefaultScope.overwrite_default_scope(scope), errors_explained(cfg):
        return MODELS.build(model)
