"""The command line of the training curves."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.tools import run_tool


@pytest.fixture
def tool(capsys: pytest.CaptureFixture):
    """Run the tool in this process; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return run_tool('visualization/plot_curves', *arguments), *capsys.readouterr()

    return run


def test_writes_the_figure_of_two_runs(tool, tmp_path: Path):
    for name in ('a', 'b'):
        file = tmp_path / name / '20260101_000000' / 'vis_data' / 'scalars.json'
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(dict(loss=1., iter=1, step=1)))
    out = tmp_path / 'new' / 'curves.png'
    code, printed, _ = tool(tmp_path / 'a', tmp_path / 'b', '--out', out)
    assert code == 0 and printed.splitlines()[-1] == str(out)
    assert Image.open(out).width == 1300


def test_no_run_is_one_line(tool, tmp_path: Path):
    code, _, errors = tool(tmp_path, '--out', tmp_path / 'curves.png')
    assert code == 2 and errors.startswith('error: ') and errors.count('\n') == 1
    assert str(tmp_path) in errors


def test_an_unknown_format_is_one_line(tool, tmp_path: Path):
    (tmp_path / 'vis_data').mkdir()
    (tmp_path / 'vis_data' / 'scalars.json').write_text('{"loss": 1.0, "iter": 1}')
    code, _, errors = tool(tmp_path, '--out', tmp_path / 'curves.doc')
    assert code == 2 and errors.count('\n') == 1 and 'doc' in errors
