"""Settings that nothing reads: found before a run starts, with the nearest valid one named."""
from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import FlexibleRunner, Runner
from torch import nn

from ..config_errors import all_arguments, each_setting
from ..config_file import change_config
from ..unknown_names import check_names, nearest
from .machine import optim_wrappers

# What the runners read of a config beside their own parameters, and what our tools do.
_ALSO_READ = ('default_scope', 'custom_imports', 'launcher', 'runner_type', 'model_wrapper_cfg',
              'find_unused_parameters', 'sync_bn', 'activation_checkpointing', 'compile',
              'efficient_conv_bn_eval', 'tta_model', 'tta_pipeline')
# Settings that have parts although a config is silent about them.
_WITH_DEFAULTS = ('randomness', 'env_cfg', 'default_hooks', 'log_processor', 'auto_scale_lr',
                  'model_wrapper_cfg', 'strategy', 'compile')
_DEFAULT_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler',
                  'checkpoint', 'visualization')
_ENVIRONMENT = ('cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit')
_SCALING = ('enable', 'base_batch_size')
_PARAMWISE = ('custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult',
              'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate',
              'layer_decay_rate', 'num_layers', 'decay_rate', 'decay_type')
_MULTIPLIERS = ('lr_mult', 'decay_mult', 'lr', 'weight_decay')
_VERY_NEAR, _NAMED = 0.9, 4


def set_options(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Change settings of a config as a command line says, if something reads them.

    Args:
        cfg: The config.
        options: The settings by dotted key.

    Raises:
        ValueError: If a key is none of the config, see :func:`check_options`, or names a place
            that cannot be there.
    """
    check_options(cfg, options or {})
    change_config(cfg, options)


def check_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """See that a run reads the settings of a command line.

    Args:
        cfg: The config, before they are merged into it.
        options: The settings by dotted key.

    Raises:
        ValueError: If there is no such setting, or it is a variable that the config has used
            already.
    """
    read = _read_by_runners()
    for key in options:
        name, _, part = key.partition('.')
        if name in cfg and name not in read:
            raise ValueError(_variable(cfg, name, read))
        if name not in cfg and (name not in read or part and name not in _WITH_DEFAULTS):
            known = [other for other in cfg if other in read] if part else read
            raise ValueError(f'--cfg-options {key}: the config has no setting {name!r}'
                             f'{nearest(name, known)}')


def check_settings(cfg: Config) -> None:
    """See that no part of a config goes unread, where nothing else would stop.

    Raises:
        ValueError: For unknown names at the top, in hooks, ``env_cfg``, ``randomness``,
            ``auto_scale_lr``, ``paramwise_cfg`` and its ``custom_keys``.
    """
    read = _read_by_runners()
    for name in cfg:
        close = get_close_matches(name, read, 1, _VERY_NEAR)
        if name not in read and close and isinstance(cfg[name], (dict, list)):
            raise ValueError(f'Nothing reads {name!r} of the config; did you mean {close[0]!r}?')
    _check_hooks(cfg)
    for name, known in (('env_cfg', _ENVIRONMENT), ('auto_scale_lr', _SCALING),
                        ('randomness', _signature(Runner.set_randomness))):
        check_names(name, cfg.get(name) or (), known)
    for wrapper in optim_wrappers(cfg):
        paramwise = wrapper.get('paramwise_cfg') or {}
        check_names('optim_wrapper.paramwise_cfg', paramwise, _PARAMWISE)
        for key, factors in (paramwise.get('custom_keys') or {}).items():
            # An optimizer may read others of its own, such as LARS's lars_exclude.
            check_names(f'optim_wrapper.paramwise_cfg.custom_keys.{key}',
                        [x for x in factors if get_close_matches(x, _MULTIPLIERS)], _MULTIPLIERS)


def check_custom_keys(cfg: Config, model: nn.Module) -> None:
    """See that each of the optimizer's ``custom_keys`` is part of the name of a parameter.

    Raises:
        ValueError: If one is not, so that its settings would hold for nothing.
    """
    if not isinstance(model, nn.Module):        # FlexibleRunner builds it later
        return
    names = [name for name, _ in model.named_parameters()]
    parts = sorted({part for name in names for part in name.split('.') if not part.isdecimal()})
    for wrapper in optim_wrappers(cfg):
        for key in ((wrapper.get('paramwise_cfg') or {}).get('custom_keys') or {}):
            if not any(key in name for name in names):
                raise ValueError(
                    f'optim_wrapper.paramwise_cfg.custom_keys.{key} is in the name of no parameter'
                    f'{nearest(key.rpartition(".")[2], parts)} Take it out if there is none.')


def _read_by_runners() -> set[str]:
    parameters = {*_signature(Runner), *_signature(FlexibleRunner)}
    return {*parameters, *_ALSO_READ} - {'cfg'}


def _variable(cfg: Config, name: str, read: Collection[str]) -> str:
    settings = [(path, value) for path, value in each_setting(cfg)
                if path.partition('.')[0] in read]
    same = [path for path, _ in settings if path.rpartition('.')[2] == name]
    if not isinstance(cfg[name], (bool, type(None))):
        same += [path for path, value in settings
                 if path not in same and type(value) is type(cfg[name]) and value == cfg[name]]
    if same:
        hint = f'Set what was made of it: {", ".join(same[:_NAMED])}'
    else:
        hint = f'Change it in {cfg.filename}'
    return (f'--cfg-options {name}: it is a variable that the config has used already, so that '
            f'nothing would change. {hint}.')


def _check_hooks(cfg: Config) -> None:
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if name not in _DEFAULT_HOOKS and (hook is None or 'type' not in hook):
            raise ValueError(f'default_hooks has no hook {name!r}{nearest(name, _DEFAULT_HOOKS)}')
        _check_hook(cfg, f'default_hooks.{name}', hook)
    for number, hook in enumerate(cfg.get('custom_hooks') or ()):
        _check_hook(cfg, f'custom_hooks.{number}', hook)


def _check_hook(cfg: Config, place: str, hook: ConfigDict | None) -> None:
    """A hook for checkpoints keeps unknown settings until it writes the first one."""
    if not isinstance(hook, dict) or 'type' not in hook:
        return
    kind = hook['type']
    if isinstance(kind, str):
        with HOOKS.switch_scope_and_registry(cfg.get('default_scope') or 'mmpretrain') as hooks:
            kind = hooks.get(kind)
    if not inspect.isclass(kind):
        return
    known, is_closed = all_arguments(kind)
    if issubclass(kind, CheckpointHook):
        known, is_closed = [*known, *_signature(Runner.save_checkpoint)], True
    if is_closed:
        check_names(place, hook, [*known, 'type', 'priority', '_scope_'])


def _signature(function: Any) -> list[str]:
    """Names of the arguments of a class or function."""
    return [name for name in inspect.signature(function).parameters if name != 'self']
