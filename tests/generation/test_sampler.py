"""The loop, with functions in the place of networks: it knows no model."""
from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from addp_mm.diffusion import NoisySample
from addp_mm.generation import DenoisingSampler, ImageNoise, Networks, SamplingState

NUM_CODES, GRID, IMAGE = 7, (3, 4), (6, 8)
WEIGHTS = torch.randn(NUM_CODES, 4, generator=torch.Generator().manual_seed(0))


def pixel_to_token(images: Tensor, tokens: NoisySample) -> Tensor:
    """Logits that depend on the image, on the known tokens and on the place."""
    known = torch.where(tokens.mask, -1, tokens.token_ids).float().mean(dim=(1, 2))
    pixels = torch.nn.functional.adaptive_avg_pool2d(images, GRID)            # (N, 3, h, w)
    place = torch.arange(12.).view(GRID).sin().expand(len(images), 1, *GRID)
    mixed = torch.cat((pixels, place + known[:, None, None, None]), dim=1)
    return 3 * torch.einsum('nchw,kc->nkhw', mixed, WEIGHTS)


def token_to_latent(tokens: NoisySample, probs: Tensor) -> Tensor:
    hard = torch.nn.functional.one_hot(tokens.token_ids, NUM_CODES).movedim(-1, 1)
    return torch.where(tokens.mask[:, None], probs, hard.float())


def latent_to_pixel(latents: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(latents[:, :3], IMAGE)


NETWORKS = Networks(pixel_to_token, token_to_latent, latent_to_pixel, lambda images: None,
                    image_size=IMAGE, grid_size=GRID)
BLIND = dataclasses.replace(
    NETWORKS, pixel_to_token=lambda images, tokens: pixel_to_token(
        torch.zeros(len(tokens.mask), 3, *IMAGE), tokens), reads_images=False)


def start(num_images: int = 2) -> SamplingState:
    return SamplingState.all_masked(num_images, IMAGE, GRID)


def partly_masked(counts: list[int]) -> SamplingState:
    """Images of which the first tokens are masked."""
    masks = torch.stack([(torch.arange(12) < count).view(GRID) for count in counts])
    return SamplingState.from_image(
        torch.rand(len(counts), 3, *IMAGE), torch.randint(NUM_CODES, masks.shape), masks)


def noise(num_images: int = 2) -> ImageNoise:
    return ImageNoise(0, range(num_images))


def test_the_counts_of_the_schedule() -> None:
    result = DenoisingSampler(12, 'linear').sample(NETWORKS, start(), noise(), record=True)
    counts = [*range(11, 0, -1), 1]
    assert [state.num_masked for state in result.steps] == [[count] * 2 for count in counts]
    assert all(state.mask.flatten(1).sum(dim=1).tolist() == state.num_masked
               for state in result.steps)


def test_tokens_once_revealed_stay() -> None:
    result = DenoisingSampler(12, 'linear').sample(NETWORKS, start(), noise(), record=True)
    for before, after in zip(result.steps[:-1], result.steps[1:], strict=True):
        assert torch.equal(before.token_ids[~before.mask], after.token_ids[~before.mask])
        assert not (after.mask & ~before.mask).any()


@pytest.mark.parametrize('final, masked', [('soft', 1), ('hard', 0)])
def test_the_last_image(final: str, masked: int) -> None:
    result = DenoisingSampler(5, final=final).sample(NETWORKS, start(), noise(), record=True)
    last = result.steps[-1]
    assert last.mask.flatten(1).sum(dim=1).tolist() == [masked] * 2
    soft = (last.latents > 0).sum(dim=1) > 1
    assert torch.equal(soft, last.mask)
    assert torch.equal(result.images, last.images.clamp(0, 1))
    assert torch.equal(result.token_ids, last.token_ids)
    # Only the last step differs.
    other = DenoisingSampler(5, final='hard').sample(NETWORKS, start(), noise(), record=True)
    assert torch.equal(other.steps[-2].images, result.steps[-2].images)


def test_what_a_step_records() -> None:
    result = DenoisingSampler(5).sample(NETWORKS, start(), noise(), record=[0, 3])
    assert [state.step for state in result.steps] == [0, 3]
    state = result.steps[0]
    assert state.images.shape == (2, 3, *IMAGE) and state.latents.shape == (2, NUM_CODES, *GRID)
    assert torch.equal(state.images, latent_to_pixel(state.latents))
    assert DenoisingSampler(5).sample(NETWORKS, start(), noise()).steps == []


@pytest.mark.parametrize('networks', [NETWORKS, BLIND])
def test_steps_are_those_of_the_whole_loop(networks: Networks) -> None:
    sampler = DenoisingSampler(5)
    result = sampler.sample(networks, start(), noise(), record=True)
    states = list(sampler.steps(networks, start(), noise()))
    assert [state.step for state in states] == [0, 1, 2, 3, 4]
    for state, recorded in zip(states, result.steps, strict=True):
        assert torch.equal(state.images, recorded.images)
        assert torch.equal(state.mask, recorded.mask)
    unwanted = list(sampler.steps(networks, start(), noise(), wanted=False))
    assert [state.images is not None for state in unwanted] == (
        [networks.reads_images] * 4 + [True])


def test_no_graph_is_kept() -> None:
    factor = torch.ones(1, requires_grad=True)
    networks = dataclasses.replace(
        NETWORKS, latent_to_pixel=lambda latents: factor * latent_to_pixel(latents))
    assert not DenoisingSampler(2).sample(networks, start(), noise()).images.requires_grad


def test_networks_that_read_no_images_decode_only_the_last() -> None:
    decoded = []
    networks = dataclasses.replace(
        BLIND, latent_to_pixel=lambda latents: decoded.append(1) or latent_to_pixel(latents))
    result = DenoisingSampler(5, rounding='floor').sample(networks, start(), noise())
    assert len(decoded) == 1
    known = NoisySample(result.token_ids, torch.zeros(2, *GRID, dtype=torch.bool))
    latents = token_to_latent(known, torch.zeros(()))
    assert torch.equal(result.images, latent_to_pixel(latents))
    recorded = DenoisingSampler(5, rounding='floor').sample(BLIND, start(), noise(), record=True)
    assert torch.equal(recorded.token_ids, result.token_ids) and len(recorded.steps) == 5


def test_known_tokens_never_change() -> None:
    state = partly_masked([3, 7, 0])
    result = DenoisingSampler(12, 'linear').sample(NETWORKS, state, noise(3), record=True)
    assert torch.equal(result.token_ids[~state.mask], state.token_ids[~state.mask])
    counts = [step.num_masked for step in result.steps]
    assert counts[3:7] == [[3, 7, 0], [3, 7, 0], [3, 6, 0], [3, 5, 0]]
    assert counts[-1] == [1, 1, 0]


def test_an_image_of_a_batch_with_different_counts_is_as_alone() -> None:
    state = partly_masked([3, 7, 5])
    sampler = DenoisingSampler(6, rescale=True)
    together = sampler.sample(NETWORKS, state, ImageNoise(1, [4, 2, 9]))
    for i, index in enumerate([4, 2, 9]):
        alone = SamplingState.from_image(
            state.images[i:i + 1], state.token_ids[i:i + 1], state.mask[i:i + 1])
        result = sampler.sample(NETWORKS, alone, ImageNoise(1, [index]))
        assert torch.equal(result.token_ids[0], together.token_ids[i])


def test_rescaled_counts() -> None:
    sampler = DenoisingSampler(4, 'linear', rescale=True)
    result = sampler.sample(NETWORKS, partly_masked([8, 4]), noise(), record=True)
    assert [state.num_masked for state in result.steps] == [[6, 3], [4, 2], [2, 1], [1, 1]]


def test_first_step() -> None:
    result = DenoisingSampler(6, 'linear').sample(
        NETWORKS, partly_masked([6, 6]), noise(), first_step=3, record=True)
    assert [state.num_masked for state in result.steps] == [[4, 4], [2, 2], [1, 1]]


def test_temperature() -> None:
    assert DenoisingSampler().temperature_at(0.25) == 4.5
    assert DenoisingSampler(temperature=2., dynamic=False).temperature_at(0.25) == 2.
    cold = DenoisingSampler(2, temperature=0.)
    state = cold.sample(NETWORKS, start(1), noise(1), record=[0]).steps[0]
    log_probs = pixel_to_token(start(1).images, start(1).tokens).log_softmax(dim=1)
    chosen = log_probs.gather(1, state.token_ids[:, None])[:, 0]
    assert chosen[~state.mask].min() >= chosen[state.mask].max()
    hot = DenoisingSampler(2, temperature=50.).sample(NETWORKS, start(1), noise(1), record=[0])
    assert not torch.equal(hot.steps[0].mask, state.mask)


def test_top_p_draws_the_likeliest_code_only() -> None:
    result = DenoisingSampler(1, top_p=1e-6, final='hard').sample(NETWORKS, start(1), noise(1))
    likeliest = pixel_to_token(start(1).images, start(1).tokens).argmax(dim=1)
    assert torch.equal(result.token_ids, likeliest)


def test_steps() -> None:
    assert DenoisingSampler().schedule_for(256).num_steps == 20
    assert DenoisingSampler().schedule_for(16).num_steps == 16
    assert DenoisingSampler(12).options(16)['num_steps'] == 12
    with pytest.raises(ValueError, match='at most the number of tokens of an image, 12, got 13'):
        DenoisingSampler(13).sample(NETWORKS, start(), noise())


@pytest.mark.parametrize('options, message', [
    (dict(num_steps=0), 'num_steps must be at least 1, got 0'),
    (dict(schedule='sine'), "schedule must be one of .*, got 'sine'"),
    (dict(temperature='high'), "temperature must be a number, got 'high'"),
    (dict(top_p='0.5'), "top_p must be a number, got '0.5'"),
    (dict(temperature=-1.), 'temperature must be at least 0 and finite, got -1.0'),
    (dict(temperature=float('nan')), 'temperature must be .* got nan'),
    (dict(top_p=0.), r'top_p must lie in \(0, 1\], got 0.0'),
    (dict(top_p=1.1), r'top_p must lie in \(0, 1\], got 1.1'),
    (dict(final='mean'), "final must be one of .*, got 'mean'"),
])
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DenoisingSampler(**options)
