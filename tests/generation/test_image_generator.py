"""Images of real models at tiny size."""
from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from mmengine.model import BaseModel

from addp_mm.generation import ImageGenerator, to_pixels
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg

CONFIGS = dict(addp=tiny_addp_cfg, mage=tiny_mage_training_cfg)


@pytest.fixture(scope='module')
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, BaseModel]:
    folder = tmp_path_factory.mktemp('models')
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: build_model(cfg(folder)).eval() for name, cfg in CONFIGS.items()}


@pytest.mark.parametrize('name', CONFIGS)
def test_images_do_not_depend_on_the_batch_size(models: dict, name: str) -> None:
    generator = ImageGenerator(models[name], dict(num_steps=6))
    found = []
    for size in (1, 3, 7):
        parts = [generator.generate(range(i, min(i + size, 10)), seed=5)
                 for i in range(0, 10, size)]
        found.append((torch.cat([part.token_ids for part in parts]),
                      torch.cat([to_pixels(part.images) for part in parts])))
    assert all(torch.equal(ids, found[0][0]) for ids, _ in found)
    assert all(torch.equal(pixels, found[0][1]) for _, pixels in found)
    assert len({tuple(ids.flatten().tolist()) for ids in found[0][0]}) == 10


@pytest.mark.parametrize('name', CONFIGS)
def test_seeds(models: dict, name: str) -> None:
    generator = ImageGenerator(models[name], dict(num_steps=4))
    once, again, other = (generator.generate([0, 1], seed) for seed in (3, 3, 4))
    assert torch.equal(once.images, again.images)
    assert not torch.equal(once.token_ids, other.token_ids)
    assert once.images.shape == (2, 3, 32, 32) and once.images.isfinite().all()


def test_no_global_random_number_is_drawn(models: dict) -> None:
    before = torch.get_rng_state()
    ImageGenerator(models['addp']).generate([0])
    assert torch.equal(torch.get_rng_state(), before)


def test_no_gradient_is_kept(models: dict) -> None:
    result = ImageGenerator(models['addp'], dict(num_steps=2)).generate([0])
    assert not result.images.requires_grad


def test_a_model_that_reads_tokens_in_the_encoder(tmp_path: Path) -> None:
    model = build_model(tiny_addp_cfg(tmp_path, backbone=dict(token_vocab=24))).eval()
    result = ImageGenerator(model, dict(num_steps=4)).generate([0, 1])
    assert result.images.isfinite().all()


def test_a_grid_that_is_not_square(tmp_path: Path) -> None:
    model = build_model(tiny_addp_cfg(tmp_path, image_size=(32, 48))).eval()
    assert ImageGenerator(model).generate([0]).images.shape == (1, 3, 32, 48)


@pytest.mark.parametrize('name', CONFIGS)
def test_edit_keeps_known_tokens(models: dict, name: str) -> None:
    generator = ImageGenerator(models[name])
    image, mask = torch.rand(1, 3, 32, 32), torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, 2:] = True
    result = generator.edit(image, mask, range(4), seed=1, record=True)
    known = models[name].data_preprocessor.tokenize(image)[0]
    assert torch.equal(result.token_ids[:, :2], known[:, :2].expand(4, -1, -1))
    assert len({tuple(ids.flatten().tolist()) for ids in result.token_ids[:, 2:]}) > 1
    # Half of the tokens are masked: cosine steps 0 .. 10 of 16 are over.
    assert result.steps[0].step == 11 and result.steps[0].num_masked == [7] * 4
    parts = [generator.edit(image, mask, [i], seed=1).images for i in range(4)]
    assert torch.equal(torch.cat(parts), result.images)


def test_edit_over_all_steps(models: dict) -> None:
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, 2:] = True
    sampler = dict(num_steps=4, schedule='linear', rescale=True)
    result = ImageGenerator(models['addp'], sampler).edit(
        torch.rand(1, 3, 32, 32), mask, [0], record=True)
    assert [state.num_masked for state in result.steps] == [[6], [4], [2], [1]]


def test_edit_of_images_with_different_masks(models: dict) -> None:
    """A padded batch gives what each image gives alone."""
    generator = ImageGenerator(models['addp'], dict(num_steps=5, rescale=True))
    images = torch.rand(2, 3, 32, 32)
    masks = torch.stack([torch.arange(16).view(4, 4) < count for count in (4, 9)])
    together = generator.edit(images, masks, [0, 1])
    for i in range(2):
        alone = generator.edit(images[i:i + 1], masks[i:i + 1], [i])
        assert torch.equal(alone.token_ids[0], together.token_ids[i])
        assert torch.allclose(alone.images[0], together.images[i], atol=1e-4)


def test_sampler_options_are_checked_at_once(models: dict) -> None:
    with pytest.raises(ValueError, match='number of tokens of an image, 16, got 17'):
        ImageGenerator(models['addp'], dict(num_steps=17))
    with pytest.raises(ValueError, match="no setting 'num_step' .* did you mean 'num_steps'"):
        ImageGenerator(models['addp'], dict(num_step=3))


def test_cut_off_not_rounded() -> None:
    values = torch.tensor([-0.2, 0., 0.9999 / 255, 1 / 255, 128.7 / 255, 1., 1.3])
    pixels = to_pixels(values[None, None, None].expand(2, 3, 5, 7))
    assert pixels.shape == (2, 5, 7, 3) and pixels.dtype == torch.uint8
    assert pixels[1, 4, :, 2].tolist() == [0, 0, 0, 1, 128, 255, 255]


def test_bytes_of_a_picture_stay_the_same() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    images = (levels.float() / 255)[None, None, None].expand(1, 3, 2, 256)
    assert torch.equal(to_pixels(images)[0, 1, :, 2], levels)


@pytest.mark.parametrize('cfg', CONFIGS.values())
def test_the_sampler_is_that_of_the_model(tmp_path: Path, cfg: object) -> None:
    model = build_model(cfg(tmp_path, sampler=dict(num_steps=3, schedule='linear'))).eval()
    assert ImageGenerator(model).schedule.num_steps == 3
    changed = ImageGenerator(model, dict(num_steps=5)).sampler
    assert (changed.num_steps, changed.schedule) == (5, 'linear')


@pytest.mark.parametrize('name', CONFIGS)
def test_broken_weights_are_an_error_not_a_picture(models: dict, name: str) -> None:
    model = copy.deepcopy(models[name])
    for parameter in model.parameters():
        parameter.data.fill_(float('nan'))
    with pytest.raises(FloatingPointError, match='logits of the model are not finite'):
        ImageGenerator(model, dict(num_steps=2)).generate([0])
    with pytest.raises(FloatingPointError, match='images of the model are not finite'):
        to_pixels(torch.full((1, 3, 2, 2), float('nan')))
