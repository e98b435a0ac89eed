from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.tools import run_tool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of 8 x 8 pixels with two objects each."""
    for name in ('a', 'b'):
        for part, pixels in (('images', np.arange(64, dtype=np.uint8).reshape(8, 8)),
                             ('labels', (np.indices((8, 8))[0] // 3).astype(np.uint16))):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / part / f'{name}.png')
    return tmp_path


def test_one_command_writes_both_forms(folder: Path, capsys: pytest.CaptureFixture):
    words = folder / 'images', folder / 'labels', '--out', folder / 'out', '--category'
    assert run_tool('prepare_annotations', *words, 'cell') == 0
    assert f'2 images with 4 objects (cell): {folder}/out' in capsys.readouterr().out
    assert sorted(path.name for path in (folder / 'out').iterdir()) == [
        'maps', 'settings.json', 'train.json', 'train.txt', 'val.json', 'val.txt']
    assert run_tool('prepare_annotations', *words, 'dot') == 2
    error = capsys.readouterr().err
    assert 'expected an empty or new folder' in error and 'Traceback' not in error


def test_stretching_is_for_configs_that_are_written(folder: Path, capsys: pytest.CaptureFixture):
    words = folder / 'images', folder / 'labels', '--out', folder / 'out', '--stretch'
    assert run_tool('prepare_annotations', *words) == 2
    assert '--stretch is for the configs that --pretrained writes' in capsys.readouterr().err
    assert not (folder / 'out').exists()
