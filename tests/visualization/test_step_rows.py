"""The steps of one image's generation."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from addp_mm.visualization import denoising_chain, principal_colors, spread_steps, token_embeddings


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


def test_components_are_found() -> None:
    """Embeddings made of three directions of growing strength, in 10 dims."""
    axes = torch.linalg.qr(torch.randn(10, 3, dtype=torch.float64)).Q
    values = torch.randn(4 * 5 * 6, 3, dtype=torch.float64)
    uncorrelated = torch.linalg.qr(values - values.mean(dim=0)).Q
    weights = (uncorrelated * torch.tensor([9., 3., 1.])).view(4, 5, 6, 3).movedim(-1, 1)
    latents = torch.einsum('tahw,ca->tchw', weights, axes) + 5
    colors = principal_colors(latents.float())
    assert colors.shape == (4, 3, 5, 6)
    for component in range(3):
        found, wanted = colors[:, component].flatten(), weights[:, component].flatten()
        assert found.min() == 0 and found.max() == 1
        correlation = torch.corrcoef(torch.stack([found.double(), wanted]))[0, 1]
        assert abs(correlation) > 0.99


def test_one_colour_means_the_same_in_each_step() -> None:
    latents = torch.randn(3, 6, 4, 4)
    latents[2, :, 0, 0] = latents[0, :, 3, 3]
    colors = principal_colors(latents)
    assert torch.allclose(colors[2, :, 0, 0], colors[0, :, 3, 3])
    again = principal_colors(latents.clone())
    assert torch.equal(again, colors)


def test_components_that_do_not_vary() -> None:
    colors = principal_colors(torch.ones(2, 5, 3, 3))
    assert (colors == 0.5).all()
    two_dims = principal_colors(torch.randn(2, 2, 3, 3))
    assert (two_dims[:, 2] == 0.5).all() and two_dims[:, 1].max() == 1


def test_picture() -> None:
    images, latents = torch.rand(3, 3, 96, 96), torch.randn(3, 6, 4, 4)
    picture = token_embeddings(images, latents, ['a', 'b', 'c'])
    assert picture.dtype == np.uint8 and picture.shape[1] > 3 * 96 and picture.shape[0] > 2 * 96
    color = (principal_colors(latents)[1, :, 2, 3] * 255).round().byte().numpy()
    assert (picture == color).all(axis=2).sum() >= 24 * 24
    with pytest.raises(ValueError, match='token_embeddings needs at least one step'):
        token_embeddings(images, latents[:2])
