"""The recorded arrays of the reference's generation, reproduced by the sampler's own functions."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from addp_mm.checkpoints.converters import convert
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.diffusion import NoisySample, remask
from addp_mm.generation import (
    DenoisingSampler,
    ImageNoise,
    Networks,
    SamplingState,
    UnmaskingSchedule,
    confidence,
    networks_of,
)
from addp_mm.registry import MODELS
from tests import test_parity as recorded
from tests.helpers.reference import reference_part, reference_state_dict

ARRAYS, GRID = recorded.ARRAYS, recorded.GRID
TOKENS = ARRAYS['tokens'].unflatten(1, GRID)
MASK = ARRAYS['mask_t'].bool().unflatten(1, GRID)


@pytest.fixture(scope='module')
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder: Path = tmp_path_factory.mktemp('reference')
    parts = dict(addp=reference_state_dict(), vqgan=reference_part('vqgan.'),
                 mage=reference_part('token_predictor.'))
    for name, weights in parts.items():
        suffix = '.pth' if name == 'addp' else '.safetensors'
        save_weights(convert(weights, to=name).weights, folder / f'{name}{suffix}')
    model = MODELS.build(recorded._model_cfg(folder))
    model.init_weights()
    return networks_of(model.eval())


@torch.no_grad()
def step_logits(networks: Networks, images: Tensor, state: SamplingState) -> Tensor:
    return networks.pixel_to_token(images, state.tokens).flatten(2).transpose(1, 2)


def test_logits_of_a_step(networks: Networks) -> None:
    state = SamplingState.from_image(ARRAYS['x_t'], TOKENS, MASK)
    recorded.assert_close(step_logits(networks, state.images, state), 'gen_logits')


def test_logits_of_the_first_step(networks: Networks) -> None:
    start = SamplingState.all_masked(2, networks.image_size, networks.grid_size)
    # The reference starts from a real image and its tokens, which makes no difference.
    for images in (start.images, ARRAYS['x']):
        recorded.assert_close(step_logits(networks, images, start), 'gen_logits_all_masked')


@torch.no_grad()
def test_next_image(networks: Networks) -> None:
    probs = ARRAYS['gen_logits'].transpose(1, 2).unflatten(2, GRID).softmax(dim=1)
    recorded.assert_close(networks.token_to_pixel(NoisySample(TOKENS, MASK), probs), 'x_next')


def test_next_mask() -> None:
    log_probs = ARRAYS['gen_logits'].transpose(1, 2).unflatten(2, GRID).log_softmax(dim=1)
    noise = float(ARRAYS['remask_temperature']) * ARRAYS['gumbel'].unflatten(1, GRID)
    sureness = confidence(log_probs, TOKENS, MASK, noise)
    masked = remask(sureness, int(ARRAYS['remask_k']))
    assert torch.equal(masked.flatten(1), ARRAYS['remask'])


def test_a_whole_step(networks: Networks) -> None:
    """The sampler's step with the recorded noise gives the recorded mask and image."""
    class RecordedNoise(ImageNoise):

        def uniform(self, shape: tuple[int, int], device: torch.device) -> Tensor:
            # Draws the recorded ids: the middle of each one's part of the distribution.
            probs = ARRAYS['gen_logits'].softmax(dim=2)
            upper = probs.cumsum(dim=2)
            chosen = ARRAYS['tokens'][..., None]
            middle = upper.gather(2, chosen) - probs.gather(2, chosen) / 2
            return (middle.squeeze(2) / upper[..., -1]).unflatten(1, GRID)

        def gumbel(self, shape: tuple[int, int], device: torch.device) -> Tensor:
            return ARRAYS['gumbel'].unflatten(1, GRID)

    temperature, count = float(ARRAYS['remask_temperature']), int(ARRAYS['remask_k'])
    state = SamplingState.from_image(ARRAYS['x_t'], TOKENS, MASK)
    sampler = DenoisingSampler(temperature=temperature, dynamic=False)
    with torch.no_grad():
        state = sampler.step(networks, state, RecordedNoise(0, []), 0.5, [count, count])
    assert torch.equal(state.token_ids, TOKENS)
    assert torch.equal(state.mask.flatten(1), ARRAYS['remask'])


@pytest.mark.parametrize('name', ['cosine', 'linear'])
@pytest.mark.parametrize('num_steps', [5, 20, 256])
def test_masked_tokens_of_each_step(name: str, num_steps: int) -> None:
    schedule, masked, counts = UnmaskingSchedule(num_steps, name), 256, []
    for step in range(num_steps):
        masked = schedule.num_masked(step, 256, masked)
        counts.append(masked)
    assert counts == ARRAYS[f'mask_len_{name}_{num_steps}'].tolist()
