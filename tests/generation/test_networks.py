"""Models as the functions that a sampler takes."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from addp_mm.diffusion import NoisySample
from addp_mm.generation import networks_of
from tests.helpers.tiny import (
    CODE_DIMS,
    NUM_CODES,
    build_model,
    tiny_addp_cfg,
    tiny_mage_training_cfg,
)

SHAPE = (3, 4, 4)


@pytest.fixture
def tokens() -> NoisySample:
    return NoisySample(torch.randint(NUM_CODES, SHAPE), torch.rand(SHAPE) < 0.5)


@pytest.fixture
def probs() -> torch.Tensor:
    return torch.randn(SHAPE[0], NUM_CODES, *SHAPE[1:]).softmax(dim=1)


@torch.no_grad()
def test_addp(tmp_path: Path, tokens: NoisySample, probs: torch.Tensor) -> None:
    model = build_model(tiny_addp_cfg(tmp_path)).eval()
    networks, preprocessor = networks_of(model), model.data_preprocessor
    images = torch.rand(3, 3, 32, 32)
    logits = networks.pixel_to_token(2 * images - 0.5, tokens)
    clamped = preprocessor.normalize((2 * images - 0.5).clamp(0, 1))
    assert logits.shape == probs.shape and networks.reads_images
    assert torch.equal(logits, model.predict_tokens(clamped, tokens)[:, :NUM_CODES])
    assert torch.equal(networks.tokenize(images), preprocessor.tokenize(images)[0])
    with preprocessor.tokenizer.running() as tokenizer:
        latents = tokenizer.quantize.lookup(tokens.token_ids)
        pixels = preprocessor.diffusion.synthesize(latents, tokens.mask, probs, tokenizer)
    assert torch.allclose(networks.token_to_pixel(tokens, probs), pixels, atol=1e-5)
    assert (networks.image_size, networks.grid_size) == ((32, 32), (4, 4))


@torch.no_grad()
def test_mage(tmp_path: Path, tokens: NoisySample) -> None:
    model = build_model(tiny_mage_training_cfg(tmp_path)).eval()
    networks = networks_of(model)
    assert not networks.reads_images
    assert torch.equal(networks.pixel_to_token(None, tokens),
                       model.token_predictor(tokens.token_ids, tokens.mask))


@torch.no_grad()
@pytest.mark.parametrize('mapping', ['argmax', 'sampling', 'weighted_sum'])
def test_mappings(tmp_path: Path, mapping: str, tokens: NoisySample, probs: torch.Tensor) -> None:
    model = build_model(tiny_addp_cfg(
        tmp_path, data_preprocessor=dict(diffusion=dict(type='DiffusionProcess',
                                                        mapping=mapping)))).eval()
    latents = networks_of(model).token_to_latent(tokens, probs)
    codebook = model.data_preprocessor.tokenizer.description.quantize
    hard = codebook.lookup(tokens.token_ids)
    filling = dict(argmax=codebook.lookup(probs.argmax(dim=1)), sampling=hard,
                   weighted_sum=codebook.expected(probs))[mapping]
    assert latents.shape == (3, CODE_DIMS, 4, 4)
    assert torch.equal(latents, torch.where(tokens.mask[:, None], filling, hard))


@torch.no_grad()
def test_decoding_does_not_depend_on_the_batch(tmp_path: Path, tokens: NoisySample,
                                               probs: torch.Tensor) -> None:
    networks = networks_of(build_model(tiny_addp_cfg(tmp_path)).eval())
    latents = networks.token_to_latent(tokens, probs)
    alone = torch.cat([networks.latent_to_pixel(latents[i:i + 1]) for i in range(3)])
    assert torch.equal(networks.latent_to_pixel(latents), alone)


def test_other_models_are_refused() -> None:
    with pytest.raises(ValueError, match='type ADDP or MAGETraining, got a Linear'):
        networks_of(torch.nn.Linear(2, 2))
