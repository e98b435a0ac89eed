"""A trained model as one folder that can be handed on: its config as data, and all its weights.

The folder holds ``config.json``, ``model.safetensors`` (what was trained) and a file for each
frozen part, ``tokenizer.safetensors`` and ``token_predictor.safetensors``. Reading it runs nothing
of it: the config names registered classes only, and every file has its hash in the config.
"""
from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mmengine.registry
import torch
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.utils import get_object_from_string
from torch import nn

from ..atomic_write import write_json
from ..checkpoints.download import file_hash
from ..checkpoints.module_notes import with_notes
from ..checkpoints.weight_files import save_weights
from ..models.layers import FrozenModule
from ..version import __version__

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
LIBRARY = 'addp_mm'
PACKAGES = ('addp_mm', 'mmcv', 'mmdet', 'mmengine', 'mmpretrain', 'mmseg', 'timm', 'torch')


def write_shared(folder: Path, cfg: Config, model: nn.Module) -> None:
    """Write a model and its frozen parts; files of an earlier one are replaced.

    Args:
        folder: An existing folder.
        cfg: The config that the model was built from.
        model: The model.

    Raises:
        FileNotFoundError: If the weights of a frozen part are not there.
        ValueError: If the config holds what JSON does not know.
    """
    settings = without_start_values(copy.deepcopy(cfg.model.to_dict()))
    own = model.state_dict()
    weights = {name: tensor.float() if tensor.dtype == torch.float64 else tensor
               for name, tensor in own.items()}
    save_weights(with_notes(weights, own), folder / WEIGHTS, overwrite=True)
    frozen = {name.rpartition('.')[2]: part for name, part in model.named_modules()
              if isinstance(part, FrozenModule)}
    files = [WEIGHTS]
    for name, part in _frozen_parts(settings):
        file = f'{name}.safetensors'
        _inline_config(part['model'])
        save_weights(frozen[name].read_weights(), folder / file, overwrite=True)
        part['checkpoint'] = file
        files.append(file)
    record = dict(library_name=LIBRARY, version=__version__, algorithm=settings,
                  default_scope=cfg.get('default_scope', 'mmpretrain'),
                  files={file: file_hash(folder / file) for file in files})
    write_json(folder / CONFIG, record)


def read_shared(folder: str | Path) -> tuple[Config, Path]:
    """The config and the weight file of a folder that :func:`write_shared` has written.

    Raises:
        ValueError: If it is not such a folder, a file is missing or has another hash, or the
            config names a class that is not registered.
    """
    folder = Path(folder)
    record = read_record(folder, 'algorithm')
    for file, digest in record['files'].items():
        check_file(folder, file, digest)
    settings = record['algorithm']
    check_types(settings, folder / CONFIG)
    for _, part in _frozen_parts(settings):
        part['checkpoint'] = str(folder / Path(part['checkpoint']).name)
    cfg = Config(dict(default_scope=record['default_scope'], model=settings))
    return cfg, folder / WEIGHTS


def read_record(folder: Path, key: str) -> dict[str, Any]:
    """What stands in ``config.json`` of a folder of this package.

    Args:
        folder: The folder.
        key: What must stand in it: 'algorithm' for a whole model, 'encoder' for an encoder.

    Raises:
        ValueError: If the folder is not such a one.
    """
    try:
        record = json.loads((folder / CONFIG).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or record.get('library_name') != LIBRARY or key not in record:
        names = sorted(path.name for path in folder.glob('*'))[:4]
        found = f'the folder holds {", ".join(names)}' if names else 'there is nothing in it'
        raise ValueError(f'{folder} is no folder of addp_mm with an {key}: expected the {CONFIG} '
                         f'that save_pretrained or publish.py writes, but {found}.')
    return record


def check_own_folder(folder: Path) -> None:
    """See that writing a model here replaces nothing but an earlier model of this package.

    Raises:
        ValueError: If the folder holds something else.
    """
    if folder.is_file():
        raise ValueError(f'{folder} is a file, expected the name of a folder.')
    config = folder / CONFIG
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not config.is_file() or f'"{LIBRARY}"' not in config.read_text(encoding='utf-8'):
        raise ValueError(f'{folder} holds other files. Choose a new or empty folder, or one that '
                         'holds an earlier model of addp_mm.')


def check_types(settings: Any, path: Path) -> None:
    """See that a config from elsewhere names parts of networks only.

    Those are what is registered, and modules of :data:`PACKAGES` by their full names. mmengine
    itself imports and calls whatever a name with dots says, which could be any function.

    Raises:
        ValueError: If it names something else.
    """
    known = set(_registered(mmengine.registry.MODELS)) | set(
        _registered(mmengine.registry.TASK_UTILS)) | {'Pretrained'}
    for entry in _dicts(settings):
        kind = entry.get('type')
        if kind is not None and not (isinstance(kind, str) and (
                kind.split('.')[-1] in known and kind.count('.') < 2 or _is_module(kind))):
            raise ValueError(f'{path} names {kind!r}, which is no registered class: the folder is '
                             'of a newer version, needs a package to be imported first, or is not '
                             'to be trusted.')


def _is_module(name: str) -> bool:
    """Whether a full name is that of a class of modules in a package that is known."""
    if name.partition('.')[0] not in PACKAGES or '.' not in name:
        return False
    found = get_object_from_string(name)
    return isinstance(found, type) and issubclass(found, nn.Module)


def _registered(registry: Registry) -> Iterator[str]:
    yield from registry.module_dict
    for child in registry.children.values():
        yield from _registered(child)


def _dicts(settings: Any) -> Iterator[dict]:
    """All dictionaries in nested settings, the outer ones first."""
    if isinstance(settings, dict):
        yield settings
    for value in settings.values() if isinstance(settings, dict) else settings if isinstance(
            settings, (list, tuple)) else ():
        yield from _dicts(value)


def _frozen_parts(settings: dict) -> Iterator[tuple[str, dict]]:
    """The configs of frozen parts, by their names."""
    for entry in _dicts(settings):
        for name, part in entry.items():
            if name in ('tokenizer', 'token_predictor') and isinstance(part, dict) \
                    and 'model' in part:
                yield name, part


def without_start_values(settings: Any) -> Any:
    """The settings without files of start values, which the weights have replaced."""
    for entry in _dicts(settings):
        entry.pop('init_cfg', None)
    return settings


def _inline_config(model: dict) -> None:
    """Put the content of a config file in the place of its name, which others do not have."""
    config = model.get('config')
    if isinstance(config, (str, Path)):
        path = Path(config)
        path = path / CONFIG if path.is_dir() else path
        model['config'] = json.loads(path.read_text(encoding='utf-8'))


def check_file(folder: Path, file: str, digest: str) -> None:
    """See that a file of a folder is there and has the hash that its config states.

    Raises:
        ValueError: If not.
    """
    path = folder / Path(file).name
    if not path.is_file():
        raise ValueError(f'{folder} lacks {file}: copy or download the whole folder again.')
    if (found := file_hash(path)) != digest:
        raise ValueError(f'{path} is not the file that was published: expected SHA-256 {digest}, '
                         f'got {found}. Copy or download it again.')
