"""One exit code and one message for each way a command may stop."""
from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from addp_mm.apis.machine import rank_environment
from addp_mm.cli.arguments import add_runner_arguments
from addp_mm.cli.run import run


@pytest.mark.parametrize(('error', 'code', 'message'), [
    (KeyboardInterrupt(), 130, 'Interrupted. Run the same command again to go on.\n'),
    (RuntimeError('[1/3] failed.\nSee a.log.'), 1, '[1/3] failed.\nSee a.log.\n'),
    (ValueError('expected a,\n  got b'), 2, 'error: expected a, got b\n'),
    (FileNotFoundError('no such file'), 2, 'error: no such file\n'),
    (ImportError('no package'), 2, 'error: no package\n'),
])
def test_what_stops_a_tool_is_said(error: BaseException, code: int, message: str,
                                   capsys: pytest.CaptureFixture):
    def main(words: object) -> None:
        raise error

    assert run(main, resumable=True) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize('make', [lambda path: path.mkdir(parents=True, exist_ok=True),
                                  lambda path: os.makedirs(path, exist_ok=True),
                                  lambda path: (path / 'a.json').write_text('')])
@pytest.mark.parametrize('below', ['', 'sub/folder'])
def test_a_file_in_the_place_of_a_folder(make: Callable, below: str, tmp_path: Path,
                                         capsys: pytest.CaptureFixture):
    (tmp_path / 'out').write_text('')
    assert run(lambda words: make(tmp_path / 'out' / below)) == 2
    assert capsys.readouterr().err == (
        f'error: Expected a folder at {tmp_path / "out"}, found a file: name another folder.\n')


def test_a_file_that_is_there_already(tmp_path: Path, capsys: pytest.CaptureFixture):
    (tmp_path / 'a').touch()
    assert run(lambda words: (tmp_path / 'a').touch(exist_ok=False)) == 2
    assert 'File exists' in capsys.readouterr().err


def test_what_no_user_can_mend_is_raised():
    with pytest.raises(ZeroDivisionError):
        run(lambda words: 1 / 0)


def test_a_tool_that_ends(capsys: pytest.CaptureFixture):
    assert run(lambda words: 'report') == 0
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('word', ['novalue', 'a=[1,2', "a=dict(b='c',d=1)"])
def test_options_that_are_none(word: str, capsys: pytest.CaptureFixture):
    parser = ArgumentParser()
    add_runner_arguments(parser)
    with pytest.raises(SystemExit) as end:
        parser.parse_args(['--cfg-options', 'b=3', word])
    assert end.value.code == 2 and 'error: argument --cfg-options: ' in capsys.readouterr().err
    assert parser.parse_args(['--cfg-options', 'b=3']).cfg_options == dict(b=3)


@pytest.mark.parametrize('kind', [int, float])
def test_bugs_are_not_hidden(kind: type):
    """A ValueError of Python itself, and a KeyError in the package."""
    with pytest.raises(ValueError):
        run(lambda words: kind('x'))
    with pytest.raises(KeyError):
        run(lambda words: rank_environment('none'))


def test_what_the_package_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    assert run(lambda words: rank_environment('slurm')) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: --launcher slurm expects') and error.count('\n') == 1
