from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.visualization import Visualizer
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from addp_mm.engine.hooks import ReconstructionGridHook
from addp_mm.engine.hooks.reconstruction_grid_hook import draw_pairs

BLACK, GREY, WHITE = (torch.full((3, 4, 4), value) for value in (0., 0.5, 1.))


@pytest.fixture
def runner(tmp_path: Path) -> SimpleNamespace:
    """What the hook uses of a runner, with a real visualizer of two backends."""
    backends = [dict(type='LocalVisBackend', name=name, save_dir=str(tmp_path / name))
                for name in 'ab']
    visualizer = Visualizer(name='grid', vis_backends=backends, save_dir=str(tmp_path))
    return SimpleNamespace(visualizer=visualizer, iter=7)


def validate(hook: ReconstructionGridHook, runner: SimpleNamespace, *sizes: int) -> None:
    hook.before_val_epoch(runner)
    for i, size in enumerate(sizes):
        hook.after_val_iter(runner, i, {}, [dict(image=BLACK, reconstruction=GREY)] * size)
    hook.after_val_epoch(runner, {})


def test_images_stand_above_their_reconstructions():
    grid = draw_pairs([(BLACK, GREY), (WHITE, BLACK), (GREY, WHITE)], columns=2)
    assert grid.dtype == np.uint8 and grid.shape == (4 * 6 + 2, 2 * 6 + 2, 3)
    centres = grid[4::6, 4::6, 0].tolist()
    assert centres == [[0, 255], [128, 0], [128, 255], [255, 255]]


def test_the_first_images_go_to_every_backend(runner: SimpleNamespace, tmp_path: Path):
    validate(ReconstructionGridHook(num_images=3, columns=3), runner, 2, 2)
    for name in 'ab':
        path, = (tmp_path / name).rglob('reconstructions_7.png')
        picture = pil_to_tensor(Image.open(path))
        assert picture.shape == (3, 2 * 6 + 2, 3 * 6 + 2)
        assert picture[0, 4].tolist().count(0) == 3 * 4
        assert picture[0, 10].tolist().count(128) == 3 * 4


def test_it_draws_after_every_so_many_validations(runner: SimpleNamespace, tmp_path: Path):
    hook = ReconstructionGridHook(interval=2)
    for iteration in range(4):
        runner.iter = iteration
        validate(hook, runner, 1)
    names = sorted(path.name for path in (tmp_path / 'a').rglob('*.png'))
    assert names == ['reconstructions_0.png', 'reconstructions_2.png']


def test_numbers_must_be_positive():
    with pytest.raises(ValueError, match='columns=0'):
        ReconstructionGridHook(columns=0)
