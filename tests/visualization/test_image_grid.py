from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_mm.visualization import image_grid, sample_grid
from addp_mm.visualization.canvas import GAP, cover, fit, join, text_box, to_uint8


def test_pixels_of_small_images_stay_squares():
    images = torch.rand(2, 3, 32, 32)
    grid = image_grid([images])
    assert grid.shape == (96, 2 * 96 + GAP, 3) and grid.dtype == np.uint8
    pixels = to_uint8(images)
    assert np.array_equal(grid[:, :96][1::3, 1::3], pixels[0])
    assert np.array_equal(grid[:, 96 + GAP:][::3, 2::3], pixels[1])
    assert (grid[:, 96:96 + GAP] == 255).all()


def test_large_images_keep_their_size():
    images = torch.rand(1, 3, 100, 130)
    assert np.array_equal(image_grid([images]), to_uint8(images)[0])


def test_rows_stand_below_each_other_behind_their_labels():
    black, white = torch.zeros(1, 3, 96, 96), torch.ones(1, 3, 96, 96)
    bare = image_grid([black, white])
    grid = image_grid([black, white], ['image', 'tokenizer reconstruction'])
    width = text_box('tokenizer reconstruction').shape[1]
    assert np.array_equal(grid[:, width + GAP:], bare)
    assert (bare[:96] == 0).all() and (bare[96 + GAP:] == 255).all()
    dark = (grid[:, :width] < 128).any(axis=(1, 2))
    assert dark[:96].any() and dark[96 + GAP:].any()
    assert not grid[:96, :width][:, text_box('image').shape[1]:].min() < 255


def test_values_outside_of_the_range():
    image = torch.tensor([-1., 2., float('nan')]).view(1, 3, 1, 1)
    assert to_uint8(image).tolist() == [[[[0, 255, 0]]]]
    assert to_uint8(torch.full((1, 3, 1, 1), 0.5)).max() == 128


@pytest.mark.parametrize('rows', [
    [], [torch.rand(0, 3, 8, 8)], [torch.rand(2, 3, 8, 8), torch.rand(1, 3, 8, 8)]
])
def test_what_is_no_grid(rows: list):
    with pytest.raises(ValueError, match='at least one image'):
        image_grid(rows)


def test_a_label_for_each_row():
    with pytest.raises(ValueError, match='2 labels for 1 rows'):
        image_grid([torch.rand(1, 3, 8, 8)], ['image', 'reconstruction'])


def test_fit_averages_large_images_down():
    images = torch.rand(1, 3, 64, 32)
    small = fit(images, 32)
    assert small.shape == (1, 3, 32, 16)
    assert torch.allclose(small[0, :, 0, 0], images[0, :, :2, :2].mean(dim=(1, 2)))


def test_text_stands_where_it_is_aligned():
    centers = [
        np.where((text_box('ratio', 200, 40, align) < 128).any(axis=(0, 2)))[0].mean()
        for align in ('left', 'center', 'right')
    ]
    assert centers[0] < 40 and abs(centers[1] - 100) < 4 and centers[2] > 160
    assert text_box('two\nlines').shape[0] == 2 * text_box('two').shape[0]


def test_join_fills_up_with_white():
    low, high = np.zeros((2, 3, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)
    assert join([low, high], axis=1).shape == (4, 8 + GAP, 3)
    below = join([low, high], axis=0, gap=0)
    assert below.shape == (6, 5, 3) and (below[:2, 3:] == 255).all() and not below[2:].any()


def test_cover_paints_the_masked_tokens_only():
    images, mask = torch.rand(1, 3, 8, 8), torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[0, 1, 2] = True
    painted = cover(images, mask, (1., 0., 0.5))
    assert torch.equal(painted[0, :, 2:4, 4:6].amax(dim=(1, 2)), torch.tensor([1., 0., 0.5]))
    painted[0, :, 2:4, 4:6] = images[0, :, 2:4, 4:6]
    assert torch.equal(painted, images)


MARGIN = 2 * GAP


def test_images_row_by_row() -> None:
    images = torch.rand(5, 3, 64, 80)
    grid = sample_grid(images, columns=3, gap=2)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    pixels = to_uint8(images)
    assert grid.shape == (2 * 64 + 2, 3 * 80 + 2 * 2, 3) and grid.dtype == np.uint8
    assert np.array_equal(grid[:64, 2 * 82:], pixels[2])
    assert np.array_equal(grid[66:, 82:162], pixels[4])
    assert (grid[66:, 162:] == 255).all() and (grid[64:66] == 255).all()


def test_small_images_are_enlarged_and_nearly_square() -> None:
    grid = sample_grid(torch.zeros(7, 3, 8, 8))
    assert grid.shape[:2] == (3 * 64 + 4 + 2 * MARGIN, ) * 2


def test_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match='at least one image and one column, got 0 images'):
        sample_grid(torch.zeros(0, 3, 8, 8))
    with pytest.raises(ValueError, match='columns=0'):
        sample_grid(torch.zeros(2, 3, 8, 8), columns=0)
