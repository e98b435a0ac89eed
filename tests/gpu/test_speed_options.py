"""What is only for GPUs changes no value: compiled parts, fused kernels, pinned memory."""
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.runner import turn_on_activation_checkpointing
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader

from addp_mm.generation import ImageGenerator
from addp_mm.models.addp import ADDP, ADDPViT
from addp_mm.models.layers.transformer import TransformerLayer
from tests.helpers.same_values import assert_same_values, gradients_of
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch
from tests.helpers.waits import Waits

pytestmark = pytest.mark.gpu
NO_DROPS = dict(backbone=dict(drop_rate=0.), neck=dict(drop_rate=0.))


def step(model: ADDP, ratio: float, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Loss and gradients, with masks that do not depend on what was drawn before."""
    model.train().zero_grad()
    torch.manual_seed(0)
    loss = model.loss(*model.data_preprocessor.diffuse(images, ratio))['loss_token']
    loss.backward()
    return dict(loss=loss) | gradients_of(model)


def test_compiled_parts_compute_the_same(tmp_path: Path, gpu: torch.device):
    options = dict(dynamic=False)
    if gpu.type == 'cpu':               # its compiler takes minutes
        options['backend'] = 'eager'
    plain = build_model(tiny_addp_cfg(tmp_path, **NO_DROPS)).to(gpu)
    compiled = build_model(tiny_addp_cfg(
        tmp_path, compile_cfg=options, backbone=dict(drop_rate=0.),
        neck=dict(drop_rate=0., bucket=8), data_preprocessor=dict(
            tokenizer=dict(compile_cfg=options), token_predictor=dict(compile_cfg=options))))
    compiled.load_state_dict(plain.state_dict())
    compiled.to(gpu)
    images = torch.rand(2, 3, 32, 32).to(gpu)
    for ratio in (1., 0.75, 0.5, 0.6):
        wanted, found = (step(model, ratio, images) for model in (plain, compiled))
        assert_same_values(dict(loss=found.pop('loss')), dict(loss=wanted.pop('loss')))
        assert_same_values(found, wanted)


@contextlib.contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Fail where the host waits for the device."""
    if device.type == 'cpu':
        with Waits() as waits:
            yield
        assert waits.found == []
        return
    torch.cuda.set_sync_debug_mode('error')
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.mark.parametrize('per_image', [False, True])
def test_a_step_waits_for_no_gpu(tmp_path: Path, per_image: bool, gpu: torch.device):
    diffusion = dict(type='DiffusionProcess', per_image=per_image)
    model = build_model(tiny_addp_cfg(tmp_path, data_preprocessor=dict(diffusion=diffusion)))
    model.to(gpu).train()
    batch = tiny_batch()
    if gpu.type == 'cuda':
        batch['inputs'] = batch['inputs'].pin_memory()
        batch['inputs'] = batch['inputs'].to(gpu, non_blocking=True)
    data = model.data_preprocessor(batch, True)         # reads the weights
    with no_waiting(gpu):
        data = model.data_preprocessor(batch, True)
        model(**data, mode='loss')['loss_token'].backward()


def test_generation_waits_for_no_gpu(tmp_path: Path, gpu: torch.device):
    generator = ImageGenerator(build_model(tiny_addp_cfg(tmp_path)).to(gpu).eval(),
                               dict(num_steps=6))
    generator.generate([0])                             # reads the weights
    with no_waiting(gpu):
        generator.generate([0, 1])


def flash(device: torch.device) -> contextlib.AbstractContextManager:
    """The only kernel that attention may take: flash attention; a CPU's has no dropout."""
    return sdpa_kernel(
        SDPBackend.MATH if device.type == 'cpu' else SDPBackend.FLASH_ATTENTION)


def test_the_encoder_drops_attention_in_the_flash_kernel(gpu: torch.device):
    """At the widths of ViT-B: 64 channels a head."""
    encoder = ADDPViT(arch=dict(embed_dims=128, num_layers=2, num_heads=2,
                                feedforward_channels=256), img_size=32, patch_size=8, drop_rate=0.)
    encoder.init_weights()
    encoder.to(gpu).train()
    images = torch.randn(4, 3, 32, 32, device=gpu)
    outs = []
    for rate in (0., 0.2, 0.2):
        for layer in encoder.layers:
            layer.attn.attn_drop = rate
        with flash(gpu), torch.autocast(gpu.type, torch.bfloat16):
            outs.append(encoder(images)[-1])
        encoder.zero_grad()
        outs[-1].float().square().mean().backward()
        assert all(p.grad.isfinite().all() for p in encoder.parameters() if p.grad is not None)
    assert not torch.equal(outs[1], outs[2]), 'nothing was dropped'
    distance = (outs[1] - outs[0]).float().norm() / outs[0].float().norm()
    assert 0 < distance < 0.5


def test_the_decoder_drops_attention_in_the_flash_kernel(gpu: torch.device):
    """At the widths of the recipes: 48 channels a head, lengths that are multiples of nothing."""
    layer = TransformerLayer(embed_dims=192, num_heads=4, drop_rate=0.5).to(gpu).train()
    tokens = torch.randn(2, 37, 192, device=gpu, requires_grad=True)
    with flash(gpu), torch.autocast(gpu.type, torch.bfloat16):
        first, second = (layer(tokens) for _ in range(2))
    (first + second).float().sum().backward()
    assert tokens.grad.isfinite().all() and not torch.equal(first, second)


@pytest.mark.parametrize('mixed', [False, True])
def test_activation_checkpointing_draws_the_same_dropout(tmp_path: Path, mixed: bool,
                                                         gpu: torch.device):
    plain, saving = (build_model(tiny_addp_cfg(tmp_path)).to(gpu) for _ in range(2))
    saving.load_state_dict(plain.state_dict())
    turn_on_activation_checkpointing(
        saving, [f'{part}.layers.{i}' for part in ('backbone', 'neck') for i in range(2)])
    images = torch.rand(2, 3, 32, 32).to(gpu)
    with torch.autocast(gpu.type, torch.bfloat16, enabled=mixed):
        wanted, found = (step(model, 0.7, images) for model in (plain, saving))
    assert_same_values(found, wanted, bound=1e-2 if mixed else 1e-3)


def test_pinned_batches_are_those_that_are_not(tmp_path: Path, real_gpu: torch.device):
    model = build_model(tiny_addp_cfg(tmp_path)).to(real_gpu)
    pictures = [dict(inputs=image) for image in tiny_batch(6)['inputs']]
    stacks = []
    for pinned in (False, True):
        loader = DataLoader(pictures, batch_size=2, num_workers=1, pin_memory=pinned)
        batches = list(loader)
        assert all(batch['inputs'].is_pinned() == pinned for batch in batches)
        stacks.append(torch.cat([model.data_preprocessor.to_images(batch)[0]
                                 for batch in batches]))
    assert stacks[0].is_cuda and torch.equal(*stacks)


def test_fused_adamw_takes_the_steps_of_a_cpu(gpu: torch.device):
    weights = []
    for device, fused in ((torch.device('cpu'), False), (gpu, True)):
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(40, 30).to(device))
        optimizer = torch.optim.AdamW([weight], lr=1e-2, betas=(0.9, 0.95), weight_decay=0.05,
                                      fused=fused)
        for _ in range(5):
            weight.grad = torch.randn(40, 30).to(device)
            optimizer.step()
        weights.append(weight)
    assert_same_values(dict(weight=weights[1]), dict(weight=weights[0]))
