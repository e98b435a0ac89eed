"""What a CPU computes in float32 a GPU computes too: steps of all trainings, and generation."""
from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from addp_mm.apis import ADDPInferencer
from addp_mm.diffusion import NoisySample
from addp_mm.models.addp import ADDP
from tests.helpers.same_values import assert_same_values, gradients_of
from tests.helpers.tiny import (
    build_model,
    tiny_addp_cfg,
    tiny_batch,
    tiny_mage_training_cfg,
    tiny_tokenizer_cfg,
)

pytestmark = pytest.mark.gpu


def step_of_addp(model: ADDP, images: Tensor, token_ids: Tensor | None = None) -> dict[str, dict]:
    """Every value of a step, with masks that are drawn on the CPU.

    Args:
        model: The model, on its device.
        images: (N, 3, H, W) in [0, 1].
        token_ids: The ids to go on from in the place of the model's own: where two codes are as
            near, devices may choose another one.
    """
    model.eval().zero_grad()
    preprocessor, device = model.data_preprocessor, next(model.parameters()).device
    diffusion = preprocessor.diffusion
    own_ids, _ = preprocessor.tokenize(images.to(device))
    ids = own_ids if token_ids is None else token_ids.to(device)
    generators = [torch.Generator().manual_seed(i) for i in range(len(images))]
    masks = diffusion.draw_masks(ids.shape, device, 0.7, generators)
    with preprocessor.token_predictor.running() as predictor:
        filling, target = diffusion.predict(ids, masks, predictor)
    with preprocessor.tokenizer.running() as tokenizer:
        latents = tokenizer.quantize.lookup(ids)
        noisy = diffusion.synthesize(latents, masks.now, filling, tokenizer)
    noisy = preprocessor.normalize(noisy.float().clamp(0, 1))
    loss = model.loss(noisy, NoisySample(ids, masks.now, target, masks.num_reliable))['loss_token']
    loss.backward()
    return dict(token_ids=own_ids, gradients=gradients_of(model), values=dict(
        latents=latents, filling=filling, target=target, noisy=noisy, loss=loss))


def compare_steps(model: ADDP, gpu: torch.device, images: Tensor) -> None:
    wanted = step_of_addp(model.to('cpu'), images)
    found = step_of_addp(model.to(gpu), images, wanted['token_ids'])
    equal = (found['token_ids'].cpu() == wanted['token_ids']).float().mean()
    assert equal >= 0.995, f'{equal:.2%} of the tokens are equal'
    for name, value in wanted['values'].items():
        assert_same_values({name: found['values'][name]}, {name: value})
    assert_same_values(found['gradients'], wanted['gradients'])


def test_a_step_of_addp(tmp_path: Path, gpu: torch.device):
    compare_steps(build_model(tiny_addp_cfg(tmp_path)), gpu, torch.rand(2, 3, 32, 32))


@pytest.mark.parametrize('variant', ['float32', 'plain'])
def test_a_step_of_vit_b(variant: str, real_size: Namespace, gpu: torch.device):
    import variants
    model = variants.build(variant, real_size, 'float32')
    compare_steps(model, gpu, torch.rand(2, 3, *model.data_preprocessor.image_size))


def test_a_step_of_the_tokenizer(gpu: torch.device):
    """With a discriminator, whose weight follows from gradients of the last layer."""
    model = build_model(dict(
        type='VQGANTraining', tokenizer=tiny_tokenizer_cfg(),
        vq_loss=dict(type='VQLoss', entropy_weight=0.1),
        discriminator=dict(type='PatchDiscriminator', channels=8, num_layers=2),
        adversarial_loss=dict(type='AdversarialLoss', start=0)))
    images, steps = tiny_batch()['inputs'].flip(1) / 255, []
    start = {name: value.clone() for name, value in model.state_dict().items()}
    for device in (torch.device('cpu'), gpu):
        model.load_state_dict(start)
        model.to(device).train().zero_grad()
        losses = model.loss(images.to(device))
        sum(value for name, value in losses.items() if name.startswith('loss_')).backward()
        steps.append(({k: v.float() for k, v in losses.items()}, gradients_of(model)))
    for name, value in steps[0][0].items():
        assert_same_values({name: steps[1][0][name]}, {name: value})
    assert_same_values(steps[1][1], steps[0][1])


def test_scores_and_gradients_of_the_token_predictor(tmp_path: Path, gpu: torch.device):
    model = build_model(tiny_mage_training_cfg(tmp_path)).eval()
    ids = torch.randint(24, (3, 4, 4))
    mask = torch.rand(3, 4, 4) < 0.5
    steps = []
    for device in (torch.device('cpu'), gpu):
        model.to(device).zero_grad()
        logits = model.token_predictor(ids.to(device), mask.to(device))
        loss = model.loss_module(logits, NoisySample(ids.to(device), mask.to(device)))
        loss.backward()
        steps.append((dict(logits=logits), gradients_of(model)))
    for found, wanted in zip(steps[1], steps[0], strict=True):
        assert_same_values(found, wanted)


@pytest.mark.parametrize('config', [tiny_addp_cfg, tiny_mage_training_cfg])
def test_images_of_a_seed(tmp_path: Path, config: Callable, gpu: torch.device):
    """An image of 16 tokens: one that is drawn otherwise would change its pixels by far more."""
    model, images, edits = build_model(config(tmp_path)), [], []
    photo = (255 * torch.rand(40, 48, 3)).byte().numpy()
    region = np.zeros((40, 48), dtype=bool)
    region[:10, :12] = True
    for device in (torch.device('cpu'), gpu):
        inferencer = ADDPInferencer(model, device=device)
        images.append(inferencer.generate(6, seed=1, batch_size=4, num_steps=6).astype(float))
        edits.append(inferencer.inpaint(photo, region, num_steps=6).astype(float))
    for pair in (images, edits):
        assert np.abs(pair[0] - pair[1]).mean() < 0.5
    assert images[0].std() > 1


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_tokens_and_images_in_half_precision(tmp_path: Path, dtype: str, gpu: torch.device):
    model = build_model(tiny_addp_cfg(tmp_path))
    photos = [(255 * torch.rand(32, 32, 3)).byte().numpy() for _ in range(4)]
    full = ADDPInferencer(model, device=gpu).reconstruct(photos).astype(float)
    half = ADDPInferencer(model, device=gpu, dtype=dtype)
    # Some codes are nearly as far as others; two photos differ by much more.
    assert np.abs(half.reconstruct(photos) - full).mean() < 0.3 * np.abs(full[0] - full[1]).mean()
    assert half.extract_features(photos).isfinite().all()
    assert half.generate(2, num_steps=4).std() > 1
