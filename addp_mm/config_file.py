"""Config files: read, and changed by options of a command line."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .error_origin import message_of, places


def read_config_file(path: str | Path, import_custom_modules: bool = True) -> Config:
    """Read a config file.

    Args:
        path: The file.
        import_custom_modules: Import what its ``custom_imports`` names.

    Raises:
        FileNotFoundError: If the file or one of its bases does not exist.
        ImportError: If what it imports cannot be imported.
        ValueError: If it is not a config.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'Expected a config file at {path}, there is none.')
    try:
        return Config.fromfile(path, import_custom_modules=import_custom_modules)
    except (OSError, ImportError):
        raise
    except RecursionError as error:
        raise ValueError(f'The config {path} cannot be read: its _base_ leads back to it.'
                         ) from error
    except Exception as error:      # whatever the lines of the config raise, which are run
        raise ValueError(f'The config {path} cannot be read: {_place(error)}'
                         f'{type(error).__name__}: {message_of(error)}') from error


def model_of(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """The model of a config with its preprocessor, which mmpretrain's configs have beside it.

    Raises:
        ValueError: If the config has no model.
    """
    if 'model' not in cfg:
        raise ValueError(f'The config {getattr(cfg, "filename", None) or ""} has no `model`.')
    preprocessor = cfg.get('data_preprocessor')     # mmengine's runner gives it to the model
    return {**(dict(data_preprocessor=preprocessor) if preprocessor else {}), **cfg['model']}


def change_config(cfg: Config, options: Mapping[str, Any] | None) -> None:
    """Change settings of a config by dotted key, or add them: whoever calls knows what is read.

    Command lines go through :func:`~addp_mm.apis.check_config.set_options`.

    Raises:
        ValueError: If a key names a place that cannot be there.
    """
    for key, value in (options or {}).items():
        if not all(key.split('.')):
            raise ValueError(f'--cfg-options {key}={value}: expected names with single dots '
                             'between them.')
        try:
            cfg.merge_from_dict({key: value})
        except (KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
            raise ValueError(f'--cfg-options {key}={value} does not fit the config: '
                             f'{message_of(error)}') from error


def _place(error: Exception) -> str:
    """The line of the config in which it stopped."""
    if isinstance(error, SyntaxError):
        return f'line {error.lineno}: ' if error.lineno else ''
    last = places(error)[-1]
    return '' if 'mmengine' in Path(last.file).parts else f'line {last.number}: '
