"""The command line that draws what training sees."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from addp_mm.visualization.canvas import to_uint8
from addp_mm.visualization.training_view import MASK_COLOR
from tests.helpers.tiny import tiny_addp_cfg, tiny_mage_training_cfg
from tests.helpers.tools import run_tool

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'visualization' / 'view_training.py'


@pytest.fixture
def tool(capsys: pytest.CaptureFixture):
    """Run the tool in this process; gives its exit code, output and errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        MMLogger._instance_dict.clear()  # one made in the set-up would write to a closed stream
        return run_tool('visualization/view_training', *arguments), *capsys.readouterr()

    return run


def write_config(folder: Path, model: dict) -> Path:
    """A config with a train split of five real image files."""
    for i in range(5):
        path = folder / 'images' / f'{i}.png'
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((40, 40, 3), 50 * i, np.uint8)).save(path)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)),
                dict(type='PackInputs')]
    dataset = dict(type='ImageFolder', data_root=str(folder), data_prefix='images',
                   pipeline=pipeline)
    path = folder / 'tiny.py'
    Config(dict(model=model, train_dataloader=dict(dataset=dataset),
                default_scope='mmpretrain')).dump(path)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, tiny_addp_cfg(tmp_path))


def test_writes_both_pictures(tool, config: Path, tmp_path: Path):
    out = tmp_path / 'new' / 'pictures'
    code, printed, _ = tool(config, '--out', out, '--num-images', 2)
    assert code == 0
    assert printed.splitlines()[-2:] == [str(out / 'training_view.png'),
                                         str(out / 'mask_ratios.png')]
    two = np.asarray(Image.open(out / 'training_view.png'))
    # Two flat images, each at six times its size: two different ones of the five.
    shown = [two[40:200, 10:180], two[40 + two.shape[0] // 2:][:160, 10:180]]
    assert all(len(np.unique(image)) == 1 for image in shown)
    assert shown[0].max() % 50 == 0 and shown[0].max() != shown[1].max()
    assert Image.open(out / 'mask_ratios.png').width == 1300


def test_a_seed_gives_the_same_picture(tool, config: Path, tmp_path: Path):
    pictures = []
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        assert tool(config, '--out', tmp_path / name, '--num-images', 1, '--seed', seed)[0] == 0
        pictures.append(np.asarray(Image.open(tmp_path / name / 'training_view.png')))
    assert np.array_equal(pictures[0], pictures[1])
    paint = to_uint8(torch.tensor(MASK_COLOR).view(1, 3, 1, 1))[0, 0, 0]
    masks = [(picture == paint).all(axis=-1) for picture in pictures]
    assert masks[0].sum() == masks[2].sum() > 0 and not np.array_equal(masks[0], masks[2])


@pytest.mark.parametrize(('options', 'folder'), [
    ([], 'work_dirs/tiny'), (['--cfg-options', 'work_dir=runs/a'], 'runs/a')])
def test_the_work_folder_is_the_default(tool, config: Path, tmp_path: Path, options: list,
                                        folder: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert tool(config, '--num-images', 1, *options)[0] == 0
    assert (tmp_path / folder / 'training_view.png').is_file()


def test_the_networks_are_not_built(tool, config: Path, tmp_path: Path):
    code, *_ = tool(config, '--out', tmp_path, '--num-images', 1,
                    '--cfg-options', 'model.backbone.type=NoSuchBackbone')
    assert code == 0


@pytest.mark.parametrize(('options', 'message'), [
    (['--split', 'val'], 'val_dataloader'),
    (['--num-images', '0'], 'at least 1 image'),
    (['--cfg-options', 'model.data_preprocessor.tokenizer.checkpoint=missing.pth'], 'missing.pth'),
    (['--cfg-options', 'model.data_preprocessor.diffusion.mapping=mean',
      'model.data_preprocessor.diffusion.type=DiffusionProcess'], "got 'mean'"),
    (['--cfg-options', 'train_dataloader.dataset.data_prefix=nowhere'], 'nowhere'),
    (['--cfg-options', 'model.data_preprocessor.type=NoSuchPart'], 'NoSuchPart'),
    (['--cfg-options', 'model.data_preprocessor.surprise=1'], 'surprise'),
    (['--cfg-options', 'model.data_preprocessor.tokenizer.model.code_dims=8'], 'does not fit'),
])
def test_bad_input_is_one_line(tool, config: Path, tmp_path: Path, options: list, message: str):
    code, _, errors = tool(config, '--out', tmp_path / 'out', *options)
    assert code == 2 and message in errors
    assert errors.startswith('error: ') and errors.count('\n') == 1
    assert not (tmp_path / 'out').exists()


def test_other_trainings_and_no_config(tool, tmp_path: Path):
    other = write_config(tmp_path, tiny_mage_training_cfg(tmp_path))
    for path in (other, tmp_path / 'missing.py'):
        code, _, errors = tool(path)
        assert code == 2 and path.name in errors and errors.count('\n') == 1


@pytest.mark.slow
def test_from_the_shell(tmp_path: Path):
    done = subprocess.run([sys.executable, str(TOOL), 'missing.py'], cwd=tmp_path,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)}, capture_output=True,
                          text=True)
    assert done.returncode == 2 and 'error: ' in done.stderr and 'missing.py' in done.stderr
