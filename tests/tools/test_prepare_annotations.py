from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from addp_mm.apis.model_source import find_shipped

TOOL = find_shipped('tools/prepare_annotations.py')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images of 8 x 8 pixels with two objects each."""
    for name in ('a', 'b'):
        for part, pixels in (('images', np.arange(64, dtype=np.uint8).reshape(8, 8)),
                             ('labels', (np.indices((8, 8))[0] // 3).astype(np.uint16))):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / part / f'{name}.png')
    return tmp_path


def run(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, TOOL, *map(str, args)], capture_output=True, text=True)


def test_one_command_writes_both_forms(folder: Path):
    done = run(folder / 'images', folder / 'labels', '--category', 'cell', '--out', folder / 'out')
    assert done.returncode == 0, done.stderr
    assert f'2 images with 4 objects (cell): {folder}/out' in done.stdout
    assert sorted(path.name for path in (folder / 'out').iterdir()) == [
        'maps', 'settings.json', 'train.json', 'train.txt', 'val.json', 'val.txt']
    done = run(folder / 'images', folder / 'labels', '--category', 'dot', '--out', folder / 'out')
    assert done.returncode == 2
    assert 'expected an empty or new folder' in done.stderr and 'Traceback' not in done.stderr
