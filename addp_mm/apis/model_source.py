"""What a user calls a model by: a config file, the name of a released model, or a folder."""
from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ..checkpoints.releases import SCHEME, Release, find_release
from ..config_file import read_config_file
from .shared_folder import read_shared

PACKAGE = Path(__file__).resolve().parents[1]


def find_shipped(name: str) -> Path:
    """What is shipped beside the package, such as ``configs``: of a clone, or installed.

    Raises:
        FileNotFoundError: If neither has it.
    """
    for root in (PACKAGE.parent, PACKAGE / '.mim'):
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f'{name} is neither in {PACKAGE.parent} nor in {PACKAGE / ".mim"}: '
                            'install addp_mm again, or run from a clone.')


def read_config(model: str | Path, weights: str | Path | None = None
                ) -> tuple[Config, str | Path | None]:
    """The config that a model is called by, and its weights.

    Args:
        model: A config file, the name of a released model, see :func:`list_models`, or a folder
            that ``save_pretrained`` has written.
        weights: Its weights; None: for a name or a folder its own.

    Raises:
        FileNotFoundError: If there is no such config file.
        ValueError: If there is no such model; the near names are in the message. If the folder is
            not such a one.
    """
    if Path(model).is_dir():
        cfg, own = read_shared(model)
        return cfg, weights or own
    if Path(model).suffix in ('.py', '.json', '.yaml', '.yml') or Path(model).is_file():
        return read_config_file(model), weights
    release = find_release(str(model))
    return _released_config(release), weights or SCHEME + release.short


def _released_config(release: Release) -> Config:
    """The config of a released model, with released frozen parts."""
    cfg = read_config_file(find_shipped(release.config))
    for part in ('tokenizer', 'token_predictor'):
        if name := getattr(release, part):
            cfg.model.data_preprocessor[part].checkpoint = SCHEME + name
    return cfg
