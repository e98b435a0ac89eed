"""The plain formulation computes the values of the fast one, its gradients and images too."""
from __future__ import annotations

from argparse import Namespace

import plain
import pytest
import torch
import variants
from torch import Tensor, nn

from addp_mm.generation import DenoisingSampler, ImageNoise, SamplingState, networks_of

PAIR = ('plain', 'float32')


@pytest.fixture(scope='module')
def models(tiny: Namespace) -> dict[str, nn.Module]:
    return {name: variants.build(name, tiny, 'float32').eval() for name in PAIR}


def assert_close(ours: Tensor, plain: Tensor, name: str) -> None:
    error = (ours - plain).abs().max() / plain.abs().max().clamp(min=1e-8)
    assert error < 1e-4, f'{name}: relative error {float(error):.1e}'


def test_they_are_different_formulations_of_the_same_weights(models: dict[str, nn.Module]):
    plain_model, ours = models.values()
    assert type(plain_model).__name__ == 'PlainADDP' and type(ours).__name__ == 'ADDP'
    assert type(plain_model.data_preprocessor.diffusion).__name__ == 'PlainDiffusionProcess'
    predictor = plain_model.data_preprocessor.token_predictor.description
    assert type(predictor).__name__ == 'PlainMAGE'
    for owner in (plain_model, predictor):
        attentions = [m.scaled_dot_product_attention for m in owner.modules()
                      if hasattr(m, 'scaled_dot_product_attention')]
        assert attentions and set(attentions) == {plain.plain_attention}
    assert not plain_model.data_preprocessor.tokenizer.channels_last
    assert ours.data_preprocessor.tokenizer.channels_last
    weights = ours.state_dict()
    assert all(torch.equal(v, weights[k]) for k, v in plain_model.state_dict().items())


@pytest.mark.parametrize('ratio', [0.55, 0.8, 1.0])
def test_a_training_step(models: dict[str, nn.Module], ratio: float):
    values = {}
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for name, model in models.items():
        noisy, sample = model.data_preprocessor.diffuse(
            images, ratio, torch.Generator().manual_seed(1))
        loss = model.loss(noisy, sample)['loss_token']
        names, parameters = zip(*model.named_parameters(), strict=True)
        gradients = torch.autograd.grad(loss, parameters)
        values[name] = dict(ids=sample.token_ids.float(), noisy=noisy, target=sample.target_probs,
                            loss=loss, **dict(zip(names, gradients, strict=True)))
    assert torch.equal(values['plain']['ids'], values['float32']['ids'])
    for key, value in values['plain'].items():
        assert_close(values['float32'][key], value, key)


def test_generation(models: dict[str, nn.Module]):
    images = []
    for model in models.values():
        networks = networks_of(model)
        start = SamplingState.all_masked(2, networks.image_size, networks.grid_size)
        images.append(DenoisingSampler(3).sample(networks, start, ImageNoise(0, range(2))).images)
    assert_close(*images, 'images')


def test_attention_with_dropout_drops():
    query = torch.randn(1, 2, 8, 4)
    out = plain.plain_attention(query, query, query)
    torch.testing.assert_close(
        out, nn.functional.scaled_dot_product_attention(query, query, query))
    assert not torch.allclose(plain.plain_attention(query, query, query, 0.5), out)
