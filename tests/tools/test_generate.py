"""The command line that generates images."""
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

from tests.helpers.tiny import build_model, tiny_addp_cfg
from tests.helpers.tools import run_tool

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'generate.py'


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Config and checkpoint of a tiny ADDP."""
    folder = tmp_path_factory.mktemp('model')
    cfg = tiny_addp_cfg(folder)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(folder / 'addp.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), folder / 'addp.pth')
    return folder / 'addp.py', folder / 'addp.pth'


@pytest.fixture
def tool(model: tuple[Path, Path], capsys: pytest.CaptureFixture):
    """Run the tool in this process; gives its exit code and its errors."""

    def run(*arguments: object, files: tuple[object, object] = model) -> tuple[int, str]:
        MMLogger._instance_dict.clear()
        capsys.readouterr()
        return run_tool('generate', *files, '--device', 'cpu', *arguments), capsys.readouterr().err

    return run


def images_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob('*.png'))}


def test_batches_make_no_difference(tool, tmp_path: Path) -> None:
    for size in (1, 3, 7):
        assert tool('--out', tmp_path / str(size), '--num-images', 7, '--batch-size', size,
                    '--steps', 5) == (0, '')
    found = [images_of(tmp_path / str(size)) for size in (1, 3, 7)]
    assert list(found[0]) == [f'{i:06d}.png' for i in range(7)]
    assert found[0] == found[1] == found[2] and len(set(found[0].values())) == 7


def test_goes_on_where_it_stopped(tool, tmp_path: Path) -> None:
    options = ('--out', tmp_path, '--steps', 4, '--seed', 3)
    assert tool(*options, '--num-images', 6)[0] == 0
    wanted = images_of(tmp_path)
    for name in ('000001.png', '000004.png'):
        (tmp_path / name).unlink()
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob('*.png')}
    assert tool(*options, '--num-images', 6)[0] == 0
    assert images_of(tmp_path) == wanted
    assert all((tmp_path / name).stat().st_mtime_ns == time for name, time in times.items())
    assert tool(*options, '--num-images', 8)[0] == 0
    assert len(images_of(tmp_path)) == 8 and images_of(tmp_path).items() >= wanted.items()


@pytest.mark.parametrize('change', [
    ('--seed', 1), ('--steps', 5), ('--schedule', 'linear'), ('--temperature', 2),
    ('--static-temperature', ), ('--top-p', 0.9), ('--rounding', 'floor'), ('--final', 'hard'),
    ('--dtype', 'float64')
])
def test_images_of_another_run_are_not_mixed(tool, tmp_path: Path, change: tuple) -> None:
    options = ('--out', tmp_path, '--num-images', 2, '--steps', 3)
    assert tool(*options)[0] == 0
    earlier = images_of(tmp_path)
    code, error = tool(*options, *change)
    assert code == 2 and 'holds images of another run' in error and error.count('\n') == 1
    assert images_of(tmp_path) == earlier
    assert tool(*options, *change, '--overwrite')[0] == 0


def test_another_checkpoint_is_another_run(tool, model: tuple[Path, Path],
                                           tmp_path: Path) -> None:
    options = ('--out', tmp_path / 'out', '--num-images', 1, '--steps', 2)
    assert tool(*options)[0] == 0
    weights = torch.load(model[1])['state_dict']
    weights['neck.mask_token'] += 1
    torch.save(dict(state_dict=weights), tmp_path / 'other.pth')
    code, error = tool(*options, files=(model[0], tmp_path / 'other.pth'))
    assert code == 2 and 'checkpoint_sha256' in error


def test_archive_and_steps(tool, tmp_path: Path) -> None:
    options = ('--num-images', 3, '--steps', 12, '--batch-size', 2)
    assert tool('--out', tmp_path / 'images.npz', *options)[0] == 0
    assert tool('--out', tmp_path / 'images', *options, '--save-steps')[0] == 0
    with np.load(tmp_path / 'images.npz') as archive:
        array = archive['arr_0']
    files = [np.asarray(Image.open(path)) for path in sorted((tmp_path / 'images').glob('*.png'))]
    assert np.array_equal(array, files)
    steps = sorted((tmp_path / 'images' / 'steps').iterdir())
    assert [path.name for path in steps] == ['000000.png', '000001.png', '000002.png']
    assert Image.open(steps[0]).size[0] > 10 * 96


def test_steps_of_images_that_are_there_already(tool, tmp_path: Path) -> None:
    options = ('--out', tmp_path, '--num-images', 2, '--steps', 3)
    assert tool(*options)[0] == 0
    earlier = images_of(tmp_path)
    assert tool(*options, '--save-steps')[0] == 0
    assert len(images_of(tmp_path / 'steps')) == 2 and images_of(tmp_path) == earlier


@pytest.mark.parametrize('options, message', [
    (('--num-images', 0), 'num_images must be at least 1, got 0'),
    (('--out', 'a.npz', '--save-steps'), '--save-steps needs a folder for --out, got a.npz'),
    (('--batch-size', 0), 'batch_size must be at least 1, got 0'),
    (('--steps', 0), 'num_steps must be at least 1, got 0'),
    (('--steps', 17), 'number of tokens of an image, 16, got 17'),
    (('--top-p', 0), 'top_p must lie in (0, 1], got 0.0'),
    (('--temperature', -1), 'temperature must be at least 0'),
    (('--device', 'sofa'), 'The device sofa cannot be used'),
    pytest.param(('--device', 'cuda'), 'The device cuda cannot be used', marks=pytest.mark.skipif(
        torch.cuda.is_available(), reason='needs a machine without a GPU')),
    (('--cfg-options', 'model.neck.depth=1'), 'more than the weights of the ADDP'),
    (('--cfg-options', 'model.data_preprocessor.tokenizer.checkpoint=none.pth'),
     'The weights of the frozen VQGAN are not at none.pth'),
])
def test_bad_input(tool, tmp_path: Path, options: tuple, message: str) -> None:
    out = tmp_path / 'out'
    code, error = tool('--out', out, '--num-images', 1, *options)
    assert code == 2 and message in error and error.count('\n') == 1
    assert not out.exists()


def test_an_out_that_is_a_file(tool, tmp_path: Path) -> None:
    (tmp_path / 'out').write_text('mine')
    code, error = tool('--out', tmp_path / 'out' / 'images', '--num-images', 1)
    assert code == 2 and error.count('\n') == 1 and str(tmp_path / 'out') in error
    assert (tmp_path / 'out').read_text() == 'mine'


def test_what_killed_runs_left_goes_when_it_is_old(tool, tmp_path: Path) -> None:
    left = tmp_path / '.000000.png.1.partial'
    left.write_text('')
    assert tool('--out', tmp_path, '--num-images', 1, '--steps', 2)[0] == 0
    assert left.exists(), 'another process may be writing it'
    os.utime(left, (0, 0))
    assert tool('--out', tmp_path, '--num-images', 1, '--steps', 2)[0] == 0
    assert not left.exists()


def test_missing_files(tool, model: tuple[Path, Path], tmp_path: Path) -> None:
    for files in ((tmp_path / 'none.py', model[1]), (model[0], tmp_path / 'none.pth')):
        code, error = tool('--out', tmp_path / 'out', files=files)
        assert code == 2 and error.startswith('error: ') and 'none.p' in error
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_two_processes(tool, model: tuple[Path, Path], tmp_path: Path) -> None:
    """The images of two processes are those of one."""
    options = ['--num-images', '5', '--batch-size', '2', '--steps', '4']
    assert tool('--out', tmp_path / 'one.npz', *options)[0] == 0
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': '',
                   'OMP_NUM_THREADS': '1'}
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2',
         str(TOOL), *map(str, model), *options, '--out', str(tmp_path / 'two.npz')],
        env=environment, timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / 'one.npz') as one, np.load(tmp_path / 'two.npz') as two:
        assert np.array_equal(one['arr_0'], two['arr_0'])
