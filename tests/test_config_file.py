"""Config files that are none, and options that do not fit them, are refused in one line."""
from __future__ import annotations

from pathlib import Path

import pytest

from addp_mm.config_file import change_config, read_config_file


@pytest.mark.parametrize('name, content, message', [
    ('a.py', b'model = dict(\n', 'line 1: SyntaxError'), ('a.py', b'\n1 / 0\n', 'ZeroDivision'),
    ('a.py', b'model = Undefined\n', 'line 1: NameError.*Undefined'),
    ('a.py', b"_base_ = './a.py'\n", 'its _base_ leads back to it'),
    ('a.py', b'# caf\xe9\n', 'UnicodeDecodeError'), ('a.json', b'{"model": ', 'JSONDecodeError'),
    ('a.json', b'[1, 2]', 'cannot be read'), ('a.yaml', b'a: [1, 2', 'cannot be read')])
def test_files_that_are_no_configs(name: str, content: bytes, message: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f'The config .*{name} cannot be read.*{message}|{message}'
                       ) as caught:
        read_config_file(tmp_path / name)
    assert name in str(caught.value) and '\n' not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='Expected a config file at .*, there is none'):
        read_config_file(tmp_path)
    (tmp_path / 'a.py').write_text("_base_ = './nowhere.py'\n")
    with pytest.raises(FileNotFoundError, match='nowhere.py'):
        read_config_file(tmp_path / 'a.py')


@pytest.mark.parametrize('key', ['steps.9.scale', 'steps.first.scale', 'rate..x'])
def test_options_that_do_not_fit(key: str, tmp_path: Path):
    (tmp_path / 'a.py').write_text('steps = [dict(scale=1)]\nrate = 1.\n')
    cfg = read_config_file(tmp_path / 'a.py')
    with pytest.raises(ValueError, match=f'--cfg-options {key}=3'):
        change_config(cfg, {key: 3})
    change_config(cfg, {'steps.0.scale': 3})
    assert cfg.steps[0].scale == 3
