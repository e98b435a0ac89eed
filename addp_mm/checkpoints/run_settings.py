"""What a run depends on, and how two runs differ in it."""
from __future__ import annotations

import ast
import inspect
import re
import reprlib
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook

from ..config_file import model_of

# The parts of a config that decide what a run computes.
DECISIVE = ('model', 'data_preprocessor', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
            'train_cfg', 'auto_scale_lr', 'randomness', 'sync_bn', 'strategy')
# And what does not matter in them: how fast it goes, and what is measured meanwhile.
_IGNORED = {'num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'compile_cfg',
            'val_interval', 'val_begin', 'dynamic_intervals', 'deterministic', 'cpu_dtype'}
AVERAGES = 'custom_hooks'       # of these only what averages the weights; others watch
_OUTSIDE = 'model.sampler'      # of generation; data samplers have the same name
# What of a model only a training reads, or how it is computed: by whole names, and parts of names.
_OF_TRAINING = {'sampler', 'init_cfg', 'train_cfg', 'test_cfg', 'gallery', 'discriminator',
                'mask_ratio', 'per_image', 'codebook', 'batch_augments', 'frozen_stages',
                'norm_eval', 'table_std', 'layer_scale_init_value', 'with_cp', 'fused', 'dtype',
                'channels_last', 'checkpoint', 'must_fit'}
_LOSS_OR_DROPOUT = re.compile('loss|drop')
_OF_TOKENIZER = {'num_codes', 'grid_size'}     # what a token predictor takes over from it
_TEACHER = 'model.data_preprocessor.token_predictor.'
# What is said of a file's weights, and of what `other_model` found.
OTHER_MODEL = ('{} was trained with {}. Its weights may give wrong results with other settings of '
               'the model: take those that it was trained with.')
_MISSING = 'none'
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_LISTED = 5

Differences = dict[str, tuple[Any, Any]]


def read_settings(text: str) -> dict[str, Any]:
    """The settings in the text of a config, as a checkpoint keeps it, read without running it.

    Args:
        text: Assignments, as ``Config.pretty_text`` writes them.

    Returns:
        The values by name. What is neither a literal nor made of such by ``dict``, ``list``,
        ``tuple`` or ``set`` counts as its text.

    Raises:
        ValueError: If the text is no Python.
    """
    try:
        lines = ast.parse(text).body
    except SyntaxError as error:
        raise ValueError(f'The config in the checkpoint cannot be read: {error}') from error
    return {line.targets[0].id: _value(line.value) for line in lines
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)}


def differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Differences:
    """What decides over a run and differs between two configs.

    Args:
        earlier: What :func:`read_settings` returned.
        now: The same of the other config.

    Returns:
        By dotted name the two values, 'none' where there is none.
    """
    found: Differences = {}
    both = [{**settings, AVERAGES: _averages(settings)} for settings in (earlier, now)]
    for part in [*DECISIVE, AVERAGES]:
        pair = [dict(_leaves(part, settings[part])) if settings.get(part) is not None else {}
                for settings in both]
        for name in dict.fromkeys([*pair[0], *pair[1]]):
            values = tuple(one.get(name, _MISSING) for one in pair)
            if values[0] != values[1] and not name.startswith(f'{_OUTSIDE}.'):
                found[name] = values
    return found


def changes_since(meta: Mapping[str, Any], cfg: Config) -> Differences:
    """What decides over a run and is not as it was when a checkpoint was written.

    Args:
        meta: The meta data of the checkpoint; without a config, as other tools leave it, nothing
            is found.
        cfg: The present config.
    """
    text = meta.get('cfg')
    return differences(read_settings(text), settings_of(cfg)) if text and cfg else {}


def other_model(meta: Mapping[str, Any] | None, cfg: Config | None) -> str:
    """How a model differs from the one whose weights it takes, though its tensors fit.

    Only what results depend on counts, and where the weights come from does not.

    Args:
        meta: The meta data of a checkpoint.
        cfg: The present config.

    Returns:
        The differences in words; empty if there are none, or the checkpoint has no config, or one
        of another kind of model.
    """
    earlier = trained_model(meta)
    now = _present_model(cfg) if earlier and cfg else {}
    if not now or class_name(earlier.get('type')) != class_name(now.get('type')):
        return ''
    return in_words(_of_results(earlier, now))


def other_part(meta: Mapping[str, Any] | None, part: Mapping[str, Any], kind: type) -> str:
    """As :func:`other_model`, of a part that was trained by itself and is used in another model.

    Args:
        meta: The meta data of the checkpoint of that training.
        part: The present config of the part.
        kind: Its class, which knows the defaults.
    """
    earlier = trained_model(meta)
    now = _present_model(Config(dict(model=part))) if earlier else {}
    if not now:
        return ''
    found = [_of_results(_with_defaults(trained, kind), _with_defaults(now, kind))
             for trained in _parts_of(earlier, class_name(now['type']))]
    least = min(found, key=len, default={})
    return in_words({name.removeprefix('model.'): pair for name, pair in least.items()})


def trained_model(meta: Mapping[str, Any] | None) -> dict[str, Any]:
    """The settings of the model that a checkpoint was written of, with its preprocessor.

    Args:
        meta: The meta data of the checkpoint.

    Returns:
        The settings; empty if the checkpoint has no config, or one of another library's form.
    """
    text = (meta or {}).get('cfg')
    try:
        return _model_of(read_settings(text)) if isinstance(text, str) else {}
    except ValueError:
        return {}


def model_settings(cfg: Config | None) -> dict[str, Any]:
    """What results depend on of a model, beside its weights and its sampler, by dotted name."""
    if cfg is None:
        return {}
    leaves = _leaves('model', _model_of(settings_of(cfg)))
    return {name.removeprefix('model.'): value for name, value in leaves if _is_of_results(name)}


def settings_of(cfg: Config) -> dict[str, Any]:
    """The settings of a config, in the form in which a checkpoint's are read."""
    return read_settings(cfg.pretty_text)


def in_words(found: Differences) -> str:
    """Differences as 'optim_wrapper.optimizer.lr 0.001, now 0.01; ...', the first few of them."""
    listed = [f'{name} {_SHORT.repr(earlier)}, now {_SHORT.repr(now)}'
              for name, (earlier, now) in list(found.items())[:_LISTED]]
    more = [f'{len(found) - _LISTED} more'] if len(found) > _LISTED else []
    return '; '.join([*listed, *more])


def _present_model(cfg: Config) -> dict[str, Any]:
    """The model of a config; empty where its values cannot be written, as those of a program."""
    try:
        return _model_of(settings_of(cfg))
    except (ValueError, SyntaxError):
        return {}


def _model_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A model with its preprocessor, which may stand beside it, and without its augmentation."""
    model = settings.get('model')
    model = model if isinstance(model, dict) else {}
    return model_of({**settings, 'model': model.get('module', model)})


def _of_results(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> Differences:
    """What results depend on and differs between two models."""
    found = differences(dict(model=earlier), dict(model=now))
    return {name: pair for name, pair in found.items()
            if _is_of_results(name) and not _is_same_class(name, *pair)}


def _with_defaults(part: Mapping[str, Any], kind: type) -> dict[str, Any]:
    defaults = {name: argument.default
                for name, argument in inspect.signature(kind).parameters.items()
                if argument.default is not argument.empty}
    return {name: value for name, value in {**defaults, **part}.items()
            if name not in _OF_TOKENIZER}


def _parts_of(settings: Any, kind: str) -> Iterator[dict[str, Any]]:
    """The configs in a config that are of a class, by its name."""
    if isinstance(settings, dict):
        if class_name(settings.get('type')) == kind:
            yield settings
        for part in settings.values():
            yield from _parts_of(part, kind)


def _is_of_results(name: str) -> bool:
    parts = name.split('.')
    return not (name.startswith(_TEACHER) or _OF_TRAINING.intersection(parts)
                or any(map(_LOSS_OR_DROPOUT.search, parts)))


def _is_same_class(name: str, earlier: Any, now: Any) -> bool:
    return name.endswith('.type') and class_name(earlier) == class_name(now)


def _averages(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The hooks that put an average into the place of the weights, by the names of their types."""
    hooks = [*(settings.get('custom_hooks') or ()),
             *(settings.get('default_hooks') or {}).values()]
    named = {class_name(hook['type']): hook for hook in hooks
             if isinstance(hook, dict) and 'type' in hook}
    known = {kind.__name__ for kind in _with_subclasses(EMAHook)}
    # An earlier run's class may not be imported now.
    return {name: hook for name, hook in named.items()
            if name in known or name.endswith(EMAHook.__name__)} or None


def class_name(kind: Any) -> str:
    """'EMAHook' of 'mmpretrain.EMAHook'."""
    return str(kind).rpartition('.')[2]


def _with_subclasses(kind: type) -> list[type]:
    parts: list[type] = kind.__subclasses__()
    return [kind, *(below for part in parts for below in _with_subclasses(part))]


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values in nested dicts and lists by dotted name, without those that do not matter."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(
        value, (list, tuple)) else None
    if not parts:
        if value is not None:
            yield name, value
        return
    for key, part in parts:
        if key not in _IGNORED:
            yield from _leaves(f'{name}.{key}', part)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict) and None not in node.keys:
        keys = [key for key in node.keys if key is not None]
        return {_value(k): _value(v) for k, v in zip(keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return [_value(part) for part in node.elts]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id == 'dict' and not node.args and all(k.arg for k in node.keywords):
            return {word.arg: _value(word.value) for word in node.keywords}
        if node.func.id in ('list', 'tuple', 'set') and not node.args:
            return []
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)
