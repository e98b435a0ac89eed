"""The steps of one image's generation."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_mm.visualization import denoising_chain, spread_steps


def test_unreliable_tokens_are_covered() -> None:
    images = torch.ones(3, 3, 96, 96) * torch.tensor([1., 0., 0.])[:, None, None]
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0] = True
    masks[1, 0, 0] = True
    picture = denoising_chain(images, masks, ['a', 'b', 'c'])
    assert picture.dtype == np.uint8
    red = (picture == [255, 0, 0]).all(axis=2)
    columns = np.flatnonzero(red.any(axis=0))
    starts = [columns[0], *columns[1:][np.diff(columns) > 1]]
    assert len(starts) == 3
    counts = [red[:, start:start + 96].sum() for start in starts]
    assert counts == [96 * 96, 2 * 96 * 96 - 24 * 24, 2 * 96 * 96]
    # The first token of the second image, in the lower row.
    rows = np.flatnonzero(red[:, starts[2]])
    lower = rows[np.argmax(np.diff(rows) > 1) + 1]
    assert not red[lower:lower + 24, starts[1]:starts[1] + 24].any()


def test_small_images_are_enlarged_and_values_clamped() -> None:
    masks = torch.zeros(2, 2, 2, dtype=torch.bool)
    small = denoising_chain(torch.rand(2, 3, 8, 8) * 3 - 1, masks)
    large = denoising_chain(torch.rand(2, 3, 96, 96), masks)
    assert small.shape == large.shape


def test_lengths_must_agree() -> None:
    images, masks = torch.rand(2, 3, 8, 8), torch.zeros(3, 2, 2, dtype=torch.bool)
    for arguments in ((images, masks), (images, masks[:2], ['a']), (images[:0], masks[:0])):
        with pytest.raises(ValueError, match='denoising_chain needs at least one step'):
            denoising_chain(*arguments)


def test_spread_steps() -> None:
    assert spread_steps(4) == [0, 1, 2, 3]
    assert spread_steps(20, 5) == [0, 5, 10, 14, 19]
    assert len(set(spread_steps(256))) == 10 and spread_steps(256)[-1] == 255
