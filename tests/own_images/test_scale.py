from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from addp_mm.own_images.scale import choose_scale, coarse_share


def draw_cells(generator: np.random.Generator, side: int = 128) -> Image.Image:
    """Bright discs at random places on black."""
    rows, columns = np.indices((side, side))
    pixels = np.zeros((side, side), np.uint8)
    for row, column in generator.integers(side, size=(60, 2)):
        pixels[(rows - row)**2 + (columns - column)**2 < 25] = 180
    return Image.fromarray(pixels)


def test_share_by_hand():
    halves = np.zeros((64, 64), np.uint8)
    halves[:, 32:] = 200
    assert coarse_share(Image.fromarray(halves)) == pytest.approx(1)
    board = np.indices((64, 64)).sum(0) % 2 * 200
    assert coarse_share(Image.fromarray(board.astype(np.uint8))) == pytest.approx(0)
    assert coarse_share(Image.new('RGB', (9, 9), 'red')) == 0


def test_cells_are_native_and_photographs_are_not(tmp_path: Path):
    generator = np.random.default_rng(0)
    cells, photographs = [tmp_path / f'{i}.png' for i in range(4)], []
    for path in cells:
        draw_cells(generator).save(path)
    for i, pixels in enumerate(load_sample_images().images):
        photographs.append(tmp_path / f'photograph{i}.png')
        Image.fromarray(pixels).save(photographs[-1])
    scale, why = choose_scale(cells, 32)
    assert scale == 'native' and why.endswith('If that is wrong, give --scale object.')
    assert choose_scale(photographs, 64)[0] == 'object'
    scale, why = choose_scale(cells, 100)
    assert scale == 'object' and '128 pixels' in why


def test_unreadable_images_are_passed_over(tmp_path: Path):
    (tmp_path / 'a.png').write_bytes(b'nothing')
    assert choose_scale([tmp_path / 'a.png'], 64)[0] == 'object'
    draw_cells(np.random.default_rng(0)).save(tmp_path / 'b.png')
    assert choose_scale([tmp_path / 'a.png', tmp_path / 'b.png'], 32)[0] == 'native'
