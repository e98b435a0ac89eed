from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from addp_mm.studies.ablations.rows import config_changes, find_rows
from tests.helpers.tiny import tiny_addp_cfg


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Rows of a tiny ADDP: the default and another target."""
    folder = tmp_path / 'rows'
    folder.mkdir()
    cfg = tiny_addp_cfg(tmp_path, head=dict(loss=dict(type='MaskedTokenLoss')))
    Config(dict(model=cfg)).dump(folder / 'default.py')
    write_row(folder, 'loss_hard', "model = dict(head=dict(loss=dict(target='hard')))")
    return folder


def write_row(folder: Path, name: str, text: str) -> Path:
    path = folder / f'{name}.py'
    path.write_text(f"_base_ = './default.py'\n{text}\n")
    return path


def test_nested_changes_are_dotted_keys() -> None:
    default = Config(dict(a=dict(b=1, c=dict(d=2)), e=[1, 2]))
    cfg = Config(dict(a=dict(b=1, c=dict(d=3, f=None)), e=[1, 3]))
    assert config_changes(cfg, default) == {'a.c.d': 3, 'a.c.f': None, 'e': [1, 3]}
    with pytest.raises(ValueError, match=r"lacks \['a.c.f'\]"):
        config_changes(default, cfg)


def test_rows_are_applied_to_another_config(folder: Path, tmp_path: Path) -> None:
    cfg = tiny_addp_cfg(tmp_path, head=dict(
        loss=dict(type='MaskedTokenLoss', label_smoothing=0.2)))
    other = tmp_path / 'other.py'
    Config(dict(model=cfg)).dump(other)
    own, moved = find_rows([folder])[1], find_rows([folder], other)[1]
    assert own.table == 'loss' and not own.is_default
    assert own.config == folder / 'loss_hard.py' and own.options == {}
    assert own.changes == moved.changes == moved.options == {'model.head.loss.target': 'hard'}
    assert own.defaults == {'model.head.loss.target': None}
    loss = moved.stage(tmp_path).cfg.model.head.loss
    assert (loss.target, loss.label_smoothing) == ('hard', 0.2)


def test_a_row_named_twice_is_one_row(folder: Path) -> None:
    names = [row.name for row in find_rows([folder, folder / 'loss_hard.py'])]
    assert names == ['default', 'loss_hard']


@pytest.mark.parametrize('text, message', [
    ('', 'changes nothing'),
    ("model = dict(_delete_=True, type='ADDP')", 'lacks'),
    ("model = dict(head=dict(loss=dict(target='firm')))", 'row bad does not fit.*firm'),
    ('model = dict(neck=dict(tokens=False))', 'row bad does not fit.*tokens'),
])
def test_a_row_that_cannot_be_run_is_refused(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_rows([write_row(folder, 'bad', text)])


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='no config .*soft.py.*default, loss_hard'):
        find_rows([folder / 'soft.py'])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='holds no config'):
        find_rows([tmp_path / 'empty'])
    (folder / 'default.py').unlink()
    with pytest.raises(FileNotFoundError, match='compared with .*default.py'):
        find_rows([folder / 'loss_hard.py'])


def test_two_rows_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / 'others'
    folder.rename(other)
    folder.mkdir()
    (folder / 'default.py').write_text((other / 'default.py').read_text())
    with pytest.raises(ValueError, match='rows of one name'):
        find_rows([folder, other])


def test_the_other_config_must_have_the_parts(folder: Path, tmp_path: Path) -> None:
    cfg = tiny_addp_cfg(tmp_path)
    del cfg['head']
    Config(dict(model=cfg)).dump(tmp_path / 'headless.py')
    with pytest.raises(ValueError, match='headless.py has no model.head, in which .*loss_hard'):
        find_rows([folder], tmp_path / 'headless.py')
    Config(dict(model=dict(type='VQGANTraining'))).dump(tmp_path / 'vqgan.py')
    with pytest.raises(ValueError, match='trains no encoder'):
        find_rows([folder / 'default.py'], tmp_path / 'vqgan.py')
