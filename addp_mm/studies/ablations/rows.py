"""The rows of ablation tables, from config files that each change a little."""
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import import_modules_from_strings

from ...config_file import read_config_file
from ...own_images.trainings import Stage, get_setting
from ...registry import MODELS

DEFAULT = 'default'


@dataclass(frozen=True)
class AblationRow:
    """One row: a config of ADDP.

    Attributes:
        name: Of its file.
        config: What is trained.
        options: What is changed in ``config``, as ``--cfg-options`` takes it.
        changes: What differs from ``default.py`` in the folder of the row: key and value.
        defaults: The values of the same keys there, None where it has none.
    """

    name: str
    config: Path
    options: Mapping[str, Any]
    changes: Mapping[str, Any]
    defaults: Mapping[str, Any]

    @property
    def is_default(self) -> bool:
        """Whether it is what the others change; it stands in every table."""
        return self.name == DEFAULT

    @property
    def table(self) -> str:
        """The name of its table: what stands before the first underscore."""
        return self.name.partition('_')[0]

    def stage(self, work_dir: Path) -> Stage:
        """Its training in a folder."""
        return Stage(self.name, self.config, work_dir, self.options)


def find_rows(paths: Sequence[Path], on: Path | None = None) -> list[AblationRow]:
    """Read the rows, see what they change, and build the model of each without its weights.

    Args:
        paths: Config files, or folders of them. In the folder of a row stands ``default.py``, what
            it is compared with.
        on: Another config, for example of a smaller model. The rows make the same changes to it.

    Returns:
        The rows, the default first, else in the order of the names.

    Raises:
        FileNotFoundError: If there is no such file, or no ``default.py`` beside it.
        ValueError: If a row's changes do not fit its config, or two rows have one name.
    """
    files = [file for path in paths for file in _config_files(path)]
    rows: dict[str, Path] = {}
    for file in sorted(files, key=lambda file: (file.stem != DEFAULT, file.stem)):
        if rows.get(file.stem, file) != file:
            raise ValueError(f'{file} and {rows[file.stem]} are rows of one name: rename one.')
        rows[file.stem] = file
    found = [_read_row(file, on) for file in rows.values()]
    for row in found:
        _check_model(row)
    return found


def config_changes(cfg: Config, default: Config) -> dict[str, Any]:
    """What differs in ``cfg`` from ``default``: dotted keys and values; lists count as a whole.

    Raises:
        ValueError: If a key is missing in ``cfg``, which options cannot express.
    """
    flat, flat_default = dict(_flatten(cfg)), dict(_flatten(default))
    missing = sorted(flat_default.keys() - flat.keys())
    if missing:
        raise ValueError(f'{cfg.filename} lacks {missing} of {default.filename}: a row may change '
                         'and add settings, not remove any.')
    absent = object()
    return {key: value for key, value in flat.items() if flat_default.get(key, absent) != value}


def _config_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob('*.py'))
        if not files:
            raise FileNotFoundError(f'{path} holds no config (*.py).')
        return files
    if not path.is_file():
        known = ', '.join(sorted(file.stem for file in path.parent.glob('*.py'))) or 'none'
        raise FileNotFoundError(f'There is no config {path}. Rows in its folder: {known}.')
    return [path]


def _read_row(file: Path, on: Path | None) -> AblationRow:
    beside = file.with_name(f'{DEFAULT}.py')
    if not beside.is_file():
        raise FileNotFoundError(f'{file} is compared with {beside}, which does not exist: write '
                                'it, the other configs of the folder being changes of it.')
    cfg, default = _read(file), _read(beside)
    changes = config_changes(cfg, default)
    if file != beside and not changes:
        raise ValueError(f'{file} changes nothing in {beside}.')
    defaults = {key: get_setting(default, key) for key in changes}
    if on is None:
        return AblationRow(file.stem, file, {}, changes, defaults)
    base = _read(on)
    for key in changes:
        part = '.'.join(key.split('.')[:-1][:2])        # model.<part>
        if part and get_setting(base, part) is None:
            raise ValueError(f'{on} has no {part}, in which {file} sets {key}.')
    return AblationRow(file.stem, on, changes, changes, defaults)


def _check_model(row: AblationRow) -> None:
    cfg = row.stage(Path()).cfg
    if 'custom_imports' in cfg:
        import_modules_from_strings(**cfg.custom_imports)
    needed = ('model.backbone', 'model.data_preprocessor.tokenizer')
    if None in [get_setting(cfg, key) for key in needed]:
        raise ValueError(f'{row.config} trains no encoder on tokens (expected {needed}): '
                         'ablations are of trainings of type ADDP.')
    try:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')), \
                torch.device('meta'):
            MODELS.build(cfg.model)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f'The row {row.name} does not fit {row.config}: {error}') from error


def _read(file: Path) -> Config:
    return read_config_file(file, import_custom_modules=False)


def _flatten(settings: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value
