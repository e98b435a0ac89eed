"""The command line that makes the reference set of FID."""
from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.tools import run_tool


@pytest.fixture
def tool(capsys: pytest.CaptureFixture):
    """Run the tool in this process; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        return run_tool('prepare_reference', *arguments), *capsys.readouterr()

    return run


def test_writes_the_set_and_says_where(tool, tmp_path: Path):
    for name in 'ab':
        (tmp_path / 'val').mkdir(exist_ok=True)
        Image.new('RGB', (300, 280), 'red').save(tmp_path / 'val' / f'{name}.jpg')
    out = tmp_path / 'new' / 'reference'
    assert tool(tmp_path / 'val', out) == (0, f'2 images of 256 x 256 pixels in {out}\n', '')
    assert Image.open(out / 'a.png').size == (256, 256)
    assert tool(tmp_path / 'val', out)[0] == 0
    code, _, errors = tool(tmp_path / 'val', out, '--size', 32)
    assert code == 2 and 'size 256, now 32' in errors and errors.count('\n') == 1
