"""The tokenizer of diffusers against the class itself, and trainings on it."""
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from addp_mm.models.vqgan import DiffusersVQModel
from tests.helpers.tiny import (
    IMAGE_SIZE,
    NUM_CODES,
    STRIDE,
    build_model,
    tiny_addp_cfg,
    tiny_batch,
    tiny_mage_training_cfg,
    tiny_token_predictor_cfg,
)

diffusers = pytest.importorskip('diffusers')

KINDS = {'group': (-1., 1.), 'spatial': (0., 1.)}       # norm of the decoder: range of the pixels


def arguments(norm_type: str = 'group') -> dict[str, Any]:
    """Stride 8: a grid of 4 x 4 at 32 pixels. Widths, latents and code dims differ."""
    is_spatial = norm_type == 'spatial'     # has 32 groups, and reads codes of the latents' length
    widths = [32] * 4 if is_spatial else [8, 8, 16, 16]
    return dict(
        block_out_channels=widths, down_block_types=['DownEncoderBlock2D'] * 4,
        up_block_types=['UpDecoderBlock2D'] * 4, latent_channels=6,
        vq_embed_dim=6 if is_spatial else 5, num_vq_embeddings=NUM_CODES, norm_num_groups=4,
        norm_type=norm_type)


def random_model(norm_type: str = 'group') -> nn.Module:
    """A VQModel under whose random weights codes differ."""
    torch.manual_seed(0)
    model = diffusers.VQModel(**arguments(norm_type)).eval()
    nn.init.normal_(model.quantize.embedding.weight)
    nn.init.normal_(model.quant_conv.weight, std=3.)
    return model.requires_grad_(False)


@pytest.fixture(scope='module')
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as diffusers writes it."""
    folder = tmp_path_factory.mktemp('vqvae')
    random_model().save_pretrained(folder)
    return folder


def tokenizer_cfg(saved: Path) -> dict[str, Any]:
    return dict(model=dict(type='DiffusersVQModel', config=str(saved), image_size=IMAGE_SIZE,
                           _delete_=True),
                checkpoint=str(saved / 'diffusion_pytorch_model.safetensors'))


@pytest.fixture
def images() -> Tensor:
    torch.manual_seed(1)
    return tiny_batch(3)['inputs'].flip(1) / 255


@pytest.mark.parametrize('norm_type', KINDS)
def test_ids_and_pixels_are_those_of_diffusers(norm_type: str, images: Tensor) -> None:
    model, (low, high) = random_model(norm_type), KINDS[norm_type]
    tokenizer = DiffusersVQModel(arguments(norm_type), IMAGE_SIZE, (low, high))
    tokenizer.load_state_dict(model.state_dict())
    pixels = low + (high - low) * images
    codes, _, (_, _, ids) = model.quantize(model.encode(pixels).latents)
    token_ids, latents = tokenizer.encode(images)
    assert len(token_ids.unique()) > 3
    assert torch.equal(token_ids.flatten(), ids) and token_ids.shape == (3, *tokenizer.grid_size)
    assert torch.allclose(latents, codes, atol=1e-5)
    mixture = latents.lerp(latents.flip(0), 0.3)
    expected = model.decode(mixture, force_not_quantize=True).sample
    assert torch.allclose(low + (high - low) * tokenizer.decode(mixture), expected, atol=1e-5)


def test_images_that_the_stride_does_not_divide_are_named(saved: Path) -> None:
    tokenizer = DiffusersVQModel(str(saved), IMAGE_SIZE)
    with pytest.raises(ValueError, match=f'multiples of {STRIDE}, got'):
        tokenizer.encode(torch.rand(1, 3, IMAGE_SIZE + 1, IMAGE_SIZE))


def test_sizes_come_from_the_config(saved: Path) -> None:
    tokenizer = DiffusersVQModel(str(saved / 'config.json'), (32, 48))
    assert (tokenizer.stride, tokenizer.grid_size) == (STRIDE, (4, 6))
    assert (tokenizer.num_codes, tokenizer.code_dims) == (NUM_CODES, 5)


def test_addp_trains_on_the_files_of_diffusers(saved: Path, tmp_path: Path,
                                               images: Tensor) -> None:
    model = build_model(tiny_addp_cfg(
        tmp_path, data_preprocessor=dict(tokenizer=tokenizer_cfg(saved))))
    losses = model(**model.data_preprocessor(tiny_batch(), training=True), mode='loss')
    losses['loss_token'].backward()
    assert 0 < losses['loss_token'] < 10        # log(24) = 3.2 nats
    assert all(p.grad is not None for p in model.parameters())
    with model.data_preprocessor.tokenizer.running() as tokenizer:
        reference = diffusers.VQModel.from_pretrained(saved)
        _, _, (_, _, ids) = reference.quantize(reference.encode(2 * images - 1).latents)
        assert torch.equal(tokenizer.encode(images)[0].flatten(), ids)


def test_mage_trains_on_the_files_of_diffusers(saved: Path, tmp_path: Path) -> None:
    model = build_model(tiny_mage_training_cfg(
        tmp_path, data_preprocessor=dict(tokenizer=tokenizer_cfg(saved)),
        token_predictor=tiny_token_predictor_cfg()))
    losses = model(**model.data_preprocessor(tiny_batch(), training=True), mode='loss')
    assert 0 < losses['loss_token'] < 10


@pytest.mark.parametrize('changes, message', [
    (dict(config=dict(_class_name='AutoencoderKL', latent_channels=4)),
     'config of a VQModel of diffusers, got one of AutoencoderKL'),
    (dict(config=dict(codebook_size=4)), r"with \['codebook_size'\]"),
    (dict(image_size=36), 'stride 8, which does not divide the image size'),
    (dict(pixel_range=(1, 0)), 'pixel_range must be two growing numbers'),
])
def test_wrong_settings_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiffusersVQModel(**dict(config=arguments(), image_size=IMAGE_SIZE) | changes)


def test_missing_config_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='config of a VQModel at .*config.json, there is '):
        DiffusersVQModel(str(tmp_path))


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'diffusers', None)
    with pytest.raises(ModuleNotFoundError, match='needs diffusers: pip install "diffusers>='):
        DiffusersVQModel(arguments())
