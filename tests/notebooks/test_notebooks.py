"""The notebooks run from the first cell to the last at a tiny size, and have no outputs in git."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from tests.helpers.tiny import build_model, tiny_addp_cfg

nbformat = pytest.importorskip('nbformat', reason='nbclient is not installed')
nbclient = pytest.importorskip('nbclient', reason='nbclient is not installed')
ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / 'notebooks').glob('*.ipynb'))


def read(name: str) -> Any:
    return nbformat.read(ROOT / 'notebooks' / f'{name}.ipynb', 4)


def execute(name: str, **parameters: Any) -> list[Any]:
    """Run a notebook with other values of its cell of parameters; all that its cells gave."""
    notebook = read(name)
    place = next(i for i, cell in enumerate(notebook.cells)
                 if 'parameters' in cell.metadata.get('tags', []))
    assigned = '\n'.join(f'{key} = {value!r}' for key, value in parameters.items())
    for key in parameters:
        assert f'\n{key} = ' in f'\n{notebook.cells[place].source}'
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(assigned))
    nbclient.NotebookClient(notebook, timeout=1800, kernel_name='python3',
                            resources=dict(metadata=dict(path=ROOT / 'notebooks'))).execute()
    return [output for cell in notebook.cells for output in cell.get('outputs', [])]


def pictures(outputs: list[Any]) -> int:
    return sum('image/png' in output.get('data', {}) for output in outputs)


def printed(outputs: list[Any]) -> str:
    return ''.join(output.get('text', '') for output in outputs)


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """Config and checkpoint of a tiny model."""
    cfg = Config(dict(model=tiny_addp_cfg(tmp_path), default_scope='mmpretrain'))
    cfg.dump(tmp_path / 'addp.py')
    torch.save(dict(state_dict=build_model(cfg.model).state_dict()), tmp_path / 'addp.pth')
    return [str(tmp_path / 'addp.py'), str(tmp_path / 'addp.pth')]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_cleared(path: Path):
    cells = [cell for cell in read(path.stem).cells if cell.cell_type == 'code']
    assert cells and not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
def test_generate_and_edit(model: list[str]):
    assert pictures(execute('generate_and_edit', MODEL=model)) == 6


@pytest.mark.slow
def test_features_and_knn(model: list[str], tmp_path: Path):
    rng = np.random.default_rng(0)
    for part, name, number in np.ndindex(2, 2, 6):
        folder = tmp_path / 'data' / ('train', 'val')[part] / str(name)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 60, (32, 32, 3)) + 190 * name
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f'{number}.png')
    outputs = execute('features_and_knn', MODEL=model, DATA=str(tmp_path / 'data'), NEIGHBOURS=5)
    assert pictures(outputs) == 1 and 'top-1 with 5 neighbours: 100.0%' in printed(outputs)


@pytest.mark.slow
def test_own_images_to_a_detector(tmp_path: Path):
    pytest.importorskip('mmdet', reason='mmdet is not installed')
    outputs = execute('own_images_to_a_detector', SIZE=16, MINUTES=0.01, ITERATIONS=2,
                      OUT=str(tmp_path / 'out'))
    assert pictures(outputs) == 4 and 'error' not in {output.output_type for output in outputs}
    assert (tmp_path / 'out/annotations/mask-rcnn/iter_2.pth').is_file()
    assert 'coco/segm_mAP' in printed(outputs)
