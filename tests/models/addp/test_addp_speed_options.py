"""What makes a step of ADDP faster or smaller changes nothing else."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.runner import turn_on_activation_checkpointing
from torch import Tensor

from addp_mm.engine.optim_wrappers import PortableAmpOptimWrapper
from addp_mm.models.addp import ADDP
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch
from tests.helpers.waits import Waits

LAYERS = [f'{part}.layers.{i}' for part in ('backbone', 'neck') for i in range(2)]


def test_compiles_no_more_once_every_length_has_occurred(tmp_path: Path):
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: list) -> Callable:
        graphs.append(graph)
        return graph.forward

    drops = dict(backbone=dict(drop_rate=0.), neck=dict(drop_rate=0.))
    plain = build_model(tiny_addp_cfg(tmp_path, **drops))
    cfg = tiny_addp_cfg(tmp_path, backbone=dict(drop_rate=0.), neck=dict(drop_rate=0., bucket=8))
    compiled = build_model(cfg | dict(compile_cfg=dict(backend=backend, dynamic=False)))
    compiled.load_state_dict(plain.state_dict())
    images, _ = plain.data_preprocessor.to_images(tiny_batch())
    counts = []
    for masked in (16, 12, 8, 9, 10, 11, 12, 13, 14, 15, 16):
        noisy, sample = plain.data_preprocessor.diffuse(images, masked / 16)
        losses = [m.loss(noisy, sample)['loss_token'] for m in (plain, compiled)]
        torch.testing.assert_close(*losses)
        losses[1].backward()
        counts.append(len(graphs))
    # The encoder once, layers of the decoder without and with tokens, 16 and 8 places projected.
    assert counts[2:] == [5] * 9
    assert compiled.state_dict().keys() == plain.state_dict().keys()


def gradients(model: ADDP, mixed: bool) -> dict[str, Tensor]:
    torch.manual_seed(0)
    model.train().zero_grad()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
        loss = model(**model.data_preprocessor(tiny_batch(), True), mode='loss')['loss_token']
    loss.backward()
    return dict(loss=loss.detach(), **{n: p.grad for n, p in model.named_parameters()})


def saved_bytes(model: ADDP) -> int:
    """Bytes that the forward pass keeps for the backward one, without the parameters."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    noisy, sample = model.data_preprocessor.diffuse(torch.rand(4, 3, 32, 32), 0.7)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = model.train().loss(noisy, sample)['loss_token']
    assert loss.requires_grad
    return sum(size for pointer, size in kept.items() if pointer not in own)


@pytest.mark.parametrize('mixed', [False, True])
def test_activation_checkpointing_repeats_the_same_step(tmp_path: Path, mixed: bool):
    plain, saving = (build_model(tiny_addp_cfg(tmp_path)) for _ in range(2))
    saving.load_state_dict(plain.state_dict())
    turn_on_activation_checkpointing(saving, LAYERS)    # what `activation_checkpointing` does
    wanted, found = gradients(plain, mixed), gradients(saving, mixed)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():                  # with dropout: its draws are repeated
        torch.testing.assert_close(found[name], value, msg=name)
    assert saved_bytes(saving) < 0.6 * saved_bytes(plain)


@pytest.mark.parametrize('per_image', [False, True])
def test_a_step_waits_for_no_device(tmp_path: Path, per_image: bool):
    diffusion = dict(type='DiffusionProcess', per_image=per_image)
    cfg = tiny_addp_cfg(tmp_path, data_preprocessor=dict(diffusion=diffusion))
    model = build_model(cfg).train()
    batch = tiny_batch()
    with Waits() as waits:
        data = model.data_preprocessor(batch, True)
        model(**data, mode='loss')['loss_token'].backward()
    assert waits.found == []


def test_fused_adamw_takes_the_same_steps():
    parameters = []
    for fused in (False, True):
        torch.manual_seed(0)
        parameters.append(torch.nn.Parameter(torch.randn(40, 30)))
        optimizer = torch.optim.AdamW(
            parameters[-1:], lr=1e-2, betas=(0.9, 0.95), weight_decay=0.05, fused=fused)
        wrapper = PortableAmpOptimWrapper(optimizer=optimizer, clip_grad=dict(max_norm=3.))
        for _ in range(5):
            parameters[-1].grad = torch.randn(40, 30)
            wrapper.step()
    torch.testing.assert_close(*parameters)
