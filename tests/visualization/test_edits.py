"""Rows of an image, what was replaced, and results."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_mm.visualization import edit_rows, edits, redrawn_tokens
from addp_mm.visualization.canvas import GAP, LINE_HEIGHT, to_uint8

MARGIN = 2 * GAP


def test_one_row() -> None:
    image, results = torch.rand(3, 192, 192), torch.rand(2, 3, 192, 192)
    mask = torch.zeros(192, 192, dtype=torch.bool)
    mask[100:] = True
    picture = edits(image, mask, results)[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert picture.dtype == np.uint8 and picture.shape[1] == 4 * 192 + 3 * GAP
    cells = [picture[LINE_HEIGHT + GAP:, i * (192 + GAP):][:, :192] for i in range(4)]
    assert np.array_equal(cells[0], to_uint8(image[None])[0])
    assert np.array_equal(cells[1][:100], cells[0][:100])
    assert np.array_equal(np.unique(cells[1][100:]), [153])
    assert np.array_equal(np.stack(cells[2:]), to_uint8(results))


def test_rows_of_different_images() -> None:
    rows = []
    for size, count in (((40, 40), 2), ((30, 60), 3), ((500, 250), 1)):
        rows.append((torch.rand(3, *size), torch.eye(*size).bool(), torch.rand(count, 3, *size)))
    picture = edit_rows(rows)
    assert picture.shape[0] > 3 * 96 and picture.shape[2] == 3


def test_sizes_must_agree() -> None:
    image, mask = torch.rand(3, 8, 8), torch.eye(8).bool()
    for arguments in ((image, mask, torch.rand(0, 3, 8, 8)), (image, mask, torch.rand(1, 3, 8, 9)),
                      (image, mask[:4], torch.rand(1, 3, 8, 8))):
        with pytest.raises(ValueError, match='A row of edits needs a mask and results of the'):
            edits(*arguments)
    with pytest.raises(ValueError, match='at least one row, got none'):
        edit_rows([])


def test_redrawn_tokens_are_red_between_the_lines_of_the_grid() -> None:
    mask = torch.tensor([[True, False, False], [False, False, True]])
    picture = redrawn_tokens(torch.zeros(3, 16, 24), mask)
    assert picture.shape == (256, 384, 3)
    assert (picture[128] == 128).all() and (picture[:, [128, 256]] == 128).all()
    red = picture[[64, 64, 64, 192, 192, 192], [64, 192, 320] * 2, 0] > 0
    assert red.tolist() == mask.flatten().tolist()
