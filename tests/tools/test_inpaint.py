"""The command line that edits images."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from PIL import Image

from addp_mm.apis.inferencer import ADDPInferencer
from tests.helpers.tiny import build_model, tiny_addp_cfg
from tests.helpers.tools import run_tool

PHOTO = np.random.default_rng(0).integers(0, 256, (50, 40, 3), dtype=np.uint8)
MASK = np.zeros((50, 40), np.uint8)
MASK[25:, :20] = 255


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Config and checkpoint of a tiny ADDP."""
    folder = tmp_path_factory.mktemp('model')
    cfg = tiny_addp_cfg(folder)
    Config(dict(model=cfg, default_scope='mmpretrain')).dump(folder / 'addp.py')
    torch.save(dict(state_dict=build_model(cfg).state_dict()), folder / 'addp.pth')
    return folder / 'addp.py', folder / 'addp.pth'


@pytest.fixture
def tool(model: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture):
    """Run the tool on a photo in this process; gives its exit code and its errors."""
    Image.fromarray(PHOTO).save(tmp_path / 'photo.png')
    Image.fromarray(MASK).save(tmp_path / 'mask.png')

    def run(*arguments: object, image: str = 'photo.png') -> tuple[int, str]:
        words = [*model, tmp_path / image, '--out', tmp_path / 'out', '--device', 'cpu',
                 '--num-samples', 2, *arguments]
        MMLogger._instance_dict.clear()
        capsys.readouterr()
        return run_tool('inpaint', *words), capsys.readouterr().err

    return run


def results_of(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(Image.open(folder / f'photo_{i}.png')) for i in range(2)])


def test_the_files_hold_what_the_inferencer_gives(tool, model: tuple[Path, Path],
                                                  tmp_path: Path) -> None:
    assert tool('--mask', tmp_path / 'mask.png', '--seed', 4, '--steps', 6) == (0, '')
    wanted = ADDPInferencer(*model, device='cpu').inpaint(PHOTO, MASK, 2, seed=4, num_steps=6)
    assert np.array_equal(results_of(tmp_path / 'out'), wanted)
    overview = Image.open(tmp_path / 'out' / 'photo_edits.png')
    assert overview.size[0] > 4 * 40 and len(list((tmp_path / 'out').iterdir())) == 3


@pytest.mark.parametrize('arguments, size', [
    (('--outpaint', 1, 2, 30, 4), (56, 71)), (('--uncrop', 1.5), (75, 60))
])
def test_beyond_the_borders(tool, tmp_path: Path, arguments: tuple, size: tuple) -> None:
    assert tool(*arguments) == (0, '')
    assert results_of(tmp_path / 'out').shape == (2, *size, 3)


def test_options_change_the_results(tool, tmp_path: Path) -> None:
    mask = ('--mask', tmp_path / 'mask.png', '--overwrite')
    found = set()
    for change in ((), ('--rescale', ), ('--prior', tmp_path / 'mask.png'), ('--seed', 1),
                   ('--schedule', 'linear'), ('--temperature', 0)):
        assert tool(*mask, *change)[0] == 0
        found.add(results_of(tmp_path / 'out').tobytes())
    assert len(found) == 6


def test_nothing_is_overwritten(tool, tmp_path: Path) -> None:
    mask = ('--mask', tmp_path / 'mask.png')
    assert tool(*mask)[0] == 0
    earlier = results_of(tmp_path / 'out')
    code, error = tool(*mask, '--seed', 1)
    assert code == 2 and 'photo_0.png exists already' in error and error.count('\n') == 1
    assert np.array_equal(results_of(tmp_path / 'out'), earlier)
    assert tool(*mask, '--seed', 1, '--overwrite')[0] == 0
    assert not np.array_equal(results_of(tmp_path / 'out'), earlier)


def test_fewer_results_replace_all_of_an_earlier_run(tool, tmp_path: Path) -> None:
    mask = ('--mask', tmp_path / 'mask.png', '--steps', 2)
    (tmp_path / 'out').mkdir()
    for name in ('photo_2.png', 'photo_7.png'):
        (tmp_path / 'out' / name).write_bytes(b'of a user')
    assert tool(*mask)[0] == 0          # no run before, nothing of which is to be removed
    assert (tmp_path / 'out/photo_2.png').read_bytes() == b'of a user'
    assert tool(*mask, '--num-samples', 4, '--overwrite')[0] == 0
    assert tool(*mask, '--overwrite')[0] == 0
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'photo_0.png', 'photo_1.png', 'photo_7.png', 'photo_edits.png']


@pytest.mark.parametrize('arguments, message', [
    (('--mask', 'black.png'), 'The mask is black'),
    (('--mask', 'white.png'), 'The mask is white'),
    (('--mask', 'small.png'), 'The mask has 20 x 40 pixels, the image 50 x 40'),
    (('--mask', 'none.png'), 'There is no image file'),
    (('--mask', 'text.png'), 'text.png is not a whole image'),
    (('--mask', 'mask.png', '--prior', 'small.png'), 'The prior image has (20, 40) pixels'),
    (('--mask', 'mask.png', '--num-samples', 0), 'num_samples must be at least 1'),
    (('--mask', 'mask.png', '--steps', 17), 'number of tokens of an image, 16, got 17'),
    (('--outpaint', 0, 0, 0, 0), 'margins of at least 0 pixels, not all of them 0'),
    (('--uncrop', 1), 'a scale above 1'),
])
def test_bad_input(tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple,
                   message: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name, values in (('black', MASK * 0), ('white', MASK * 0 + 255), ('small', MASK[:20])):
        Image.fromarray(values).save(f'{name}.png')
    Path('text.png').write_text('no image')
    code, error = tool(*arguments)
    assert code == 2 and message in error and error.count('\n') == 1
    assert not (tmp_path / 'out').exists()
