from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from addp_mm.diffusion import MAPPINGS, num_masked
from addp_mm.visualization import NoisyChain, draw_training_view, noisy_chain, training_view
from addp_mm.visualization.canvas import GAP, LINE_HEIGHT, to_uint8
from addp_mm.visualization.training_view import MASK_COLOR
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch


@pytest.fixture
def preprocessor(tmp_path: Path) -> torch.nn.Module:
    return build_model(tiny_addp_cfg(tmp_path)).data_preprocessor


@pytest.fixture
def images(preprocessor: torch.nn.Module) -> torch.Tensor:
    return preprocessor.to_images(tiny_batch(2))[0]


def test_noisy_images_are_those_of_training(preprocessor, images):
    chain = noisy_chain(preprocessor, images, num_ratios=3, seed=5)
    assert list(chain.noisy_images) == list(MAPPINGS)
    for mapping, steps in chain.noisy_images.items():
        preprocessor.diffusion.mapping = mapping
        for i, ratio in enumerate(chain.ratios):
            noisy, sample = preprocessor.diffuse(images, ratio, torch.Generator().manual_seed(5))
            assert torch.equal(sample.mask, chain.masks[i])
            assert torch.allclose(preprocessor.normalize(steps[i]), noisy, atol=1e-5)


def test_the_process_of_training_is_left_as_it_was(preprocessor, images):
    preprocessor.diffusion.mapping = 'argmax'
    noisy_chain(preprocessor, images, num_ratios=1)
    assert preprocessor.diffusion.mapping == 'argmax'


def test_masks_grow_along_the_chain(preprocessor, images):
    chain = noisy_chain(preprocessor, images, num_ratios=4)
    ratios = preprocessor.diffusion.mask_ratio.ratios
    assert chain.ratios[0] == float(ratios[0]) and chain.ratios[-1] == float(ratios[-1])
    assert chain.ratios == sorted(chain.ratios) and len(chain.ratios) == 4
    for ratio, mask in zip(chain.ratios, chain.masks, strict=True):
        assert (mask.flatten(1).sum(dim=1) == num_masked(ratio, 16)).all()
    assert (chain.masks[1:] >= chain.masks[:-1]).all()


def test_reconstructions_are_the_tokenizers(preprocessor, images):
    chain = noisy_chain(preprocessor, images, num_ratios=1)
    with preprocessor.tokenizer.running() as tokenizer:
        expected = tokenizer.decode_ids(preprocessor.tokenize(images)[0]).clamp(0, 1)
    assert torch.allclose(chain.reconstructions, expected, atol=1e-6)
    assert torch.equal(chain.images, images)


def test_a_seed_gives_one_picture(preprocessor, images):
    pictures = [training_view(preprocessor, images, num_ratios=2, seed=s) for s in (0, 0, 1)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def colored(*shape: int, color: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(color)[:, None, None].expand(*shape[:-3], 3, *shape[-2:])


def find(picture: np.ndarray, color: tuple[float, float, float]) -> tuple[np.ndarray, ...]:
    """Rows and columns of the pixels of a color."""
    wanted = to_uint8(torch.tensor(color).view(1, 3, 1, 1))[0, 0, 0]
    return np.where((picture == wanted).all(axis=-1))


def test_what_stands_where():
    """Two images at two ratios, each part in a color of its own."""
    grey = {name: (0.2, 0.3, 0.1 * i) for i, name in enumerate(MAPPINGS)}
    noisy = {name: colored(2, 2, 3, 32, 48, color=color).clone() for name, color in grey.items()}
    noisy['argmax'][1, 0] = torch.tensor([0., 1., 0.])[:, None, None]   # 2nd ratio, 1st image
    masks = torch.zeros(2, 2, 4, 6, dtype=torch.bool)
    masks[0, 1, 0, 0] = masks[1, 1, 0, 0] = masks[1, 1, 3, 5] = True
    chain = NoisyChain(colored(2, 3, 32, 48, color=(1., 0., 0.)),
                       colored(2, 3, 32, 48, color=(0., 0., 1.)), [0.5, 1.], masks, noisy)
    picture = draw_training_view(chain)

    height, width = 64, 96                                               # of a noisy image
    rows = {name: np.unique(find(picture, color)[0]) for name, color in grey.items()}
    assert all(len(r) == 2 * height for r in rows.values())
    assert rows['sampling'][0] < rows['argmax'][0] < rows['weighted_sum'][0]

    y, x = find(picture, (0., 1., 0.))
    assert len(y) == height * width
    assert y.min() == rows['argmax'][0] and x.max() == picture.shape[1] - 2 * GAP - 1

    y, x = find(picture, MASK_COLOR)
    assert len(y) == 3 * 16 * 16                                         # tokens of 16 x 16 pixels
    assert y.min() > rows['weighted_sum'][height - 1]                    # in the second block
    assert y.max() < rows['sampling'][height]

    y, x = find(picture, (1., 0., 0.))
    assert len(y) == 2 * (2 * height) * (2 * width)                      # the image, twice as large
    assert (y.min(), x.min()) == (2 * GAP + LINE_HEIGHT, 2 * GAP)
    first_reconstruction = find(picture[:, :2 * GAP + 2 * width], (0., 0., 1.))[0]
    assert len(first_reconstruction) == len(y) and first_reconstruction.min() > y.min()


def test_images_of_256_pixels_are_shown_smaller():
    shape = (1, 3, 256, 256)
    chain = NoisyChain(torch.rand(shape), torch.rand(shape), [0.5],
                       torch.zeros(1, 1, 16, 16, dtype=torch.bool),
                       {name: torch.rand(1, *shape) for name in MAPPINGS})
    picture = draw_training_view(chain)
    top, left = 2 * GAP + LINE_HEIGHT, 2 * GAP
    assert np.array_equal(picture[top:top + 256, left:left + 256], to_uint8(chain.images)[0])
    assert picture.shape[0] < 4 * 128 + 100 and picture.shape[1] < 256 + 128 + 200
