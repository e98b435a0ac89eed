"""CUDA graphs of the networks: what they need, and on a GPU that they change nothing."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from addp_mm.apis import ADDPInferencer
from addp_mm.generation import ImageGenerator, capture_networks, networks_of
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_mage_training_cfg
from tests.helpers.waits import Waits

CONFIGS = [tiny_addp_cfg, tiny_mage_training_cfg]


def test_needs_a_gpu(tmp_path: Path):
    networks = networks_of(build_model(tiny_addp_cfg(tmp_path)))
    with pytest.raises(ValueError, match='CUDA graphs need a GPU, got networks on cpu'):
        capture_networks(networks)


@pytest.mark.parametrize('config', CONFIGS)
def test_generation_reads_nothing_back(tmp_path: Path, config: Callable):
    generator = ImageGenerator(build_model(config(tmp_path)).eval(), dict(num_steps=6))
    generator.generate([0])                         # reads the weights of the tokenizer
    images = torch.rand(2, 3, 32, 32)
    mask = torch.rand(2, 4, 4) < torch.tensor([0.3, 0.8]).view(2, 1, 1)
    with Waits() as waits:
        generator.generate([0, 1])
    assert waits.found == []
    with Waits() as waits:                          # from_image counts once, at the start
        generator.edit(images, mask, [0, 1])
    assert waits.found == ['aten._local_scalar_dense.default'] * len(waits.found)
    assert len(waits.found) <= 2


@pytest.mark.gpu
@pytest.mark.parametrize('config', CONFIGS)
@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_images_are_those_without_graphs(tmp_path: Path, config: Callable, dtype: str,
                                          real_gpu: torch.device):
    model = build_model(config(tmp_path))
    plain = ADDPInferencer(model, device=real_gpu, dtype=dtype)
    graphs = ADDPInferencer(model, device=real_gpu, dtype=dtype, cuda_graphs=True)
    for batch_size in (2, 3):                       # six batches: as it is, captured, replayed
        wanted = plain.generate(12, batch_size=batch_size, num_steps=6).astype(float)
        found = graphs.generate(12, batch_size=batch_size, num_steps=6)
        assert np.abs(found - wanted).mean() < 1
    captured = graphs.networks.pixel_to_token._captured
    assert captured and all(captured.values())
