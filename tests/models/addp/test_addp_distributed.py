"""Two processes on half of the batch each have the gradients of one process on the whole."""
from __future__ import annotations

from pathlib import Path

import torch
from mmengine.model import MMDistributedDataParallel
from torch import Tensor, distributed
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

from addp_mm.diffusion import NoisySample
from addp_mm.engine.optim_wrappers import PortableAmpOptimWrapper
from addp_mm.models.addp import ADDP
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_batch
from tests.helpers.two_processes import in_two_processes


def _gradients(model: ADDP, network: torch.nn.Module, images: Tensor,
               sample: NoisySample) -> dict[str, Tensor]:
    network(images, sample, mode='loss')['loss_token'].backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def _half(images: Tensor, sample: NoisySample, rank: int) -> tuple[Tensor, NoisySample]:
    part = slice(2 * rank, 2 * rank + 2)
    half = NoisySample(sample.token_ids[part], sample.mask[part], sample.target_probs[part],
                       sample.num_reliable)
    return images[part], half


def _run_process(folder: Path, model: ADDP, images: Tensor, sample: NoisySample) -> None:
    rank = distributed.get_rank()
    network = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    gradients = _gradients(model, network, *_half(images, sample, rank))
    torch.save(gradients, folder / f'gradients_{rank}.pth')


def _accumulate(folder: Path, model: ADDP, batches: list[list[dict]]) -> None:
    rank = distributed.get_rank()
    network = MMDistributedDataParallel(model, device_ids=None, broadcast_buffers=False)
    reductions = []

    def hook(state, bucket):        # annotations as texts are refused
        reductions.append(bucket.buffer().numel())
        return allreduce_hook(state, bucket)

    network.register_comm_hook(None, hook)
    wrapper = PortableAmpOptimWrapper(
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1), accumulative_counts=3,
        clip_grad=dict(max_norm=100.))
    wrapper.initialize_count_status(network, 0, 6)
    sizes = []
    for batch in batches[rank]:
        network.train_step(batch, wrapper)
        sizes.append(sum(reductions))
        reductions.clear()
    torch.save(dict(sizes=sizes, weights=model.state_dict()), folder / f'rank_{rank}.pth')


def test_accumulated_gradients_travel_once(tmp_path: Path) -> None:
    model = build_model(tiny_addp_cfg(tmp_path))
    start = {name: value.clone() for name, value in model.state_dict().items()}
    batches = [[tiny_batch(2) for _ in range(6)] for _ in range(2)]
    in_two_processes(_accumulate, tmp_path, tmp_path, model, batches)
    ranks = [torch.load(tmp_path / f'rank_{rank}.pth') for rank in range(2)]
    num_values = sum(parameter.numel() for parameter in model.parameters())
    for rank in ranks:
        assert rank['sizes'] == [0, 0, num_values] * 2
        assert any(not torch.equal(value, start[name]) for name, value in rank['weights'].items())
    assert all(torch.equal(value, ranks[1]['weights'][name])
               for name, value in ranks[0]['weights'].items())


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    model = build_model(tiny_addp_cfg(tmp_path)).eval()        # dropout off
    images, _ = model.data_preprocessor.to_images(tiny_batch(4))
    noisy_images, sample = model.data_preprocessor.diffuse(images, ratio=0.7)
    in_two_processes(_run_process, tmp_path, tmp_path, model, noisy_images, sample)
    whole = _gradients(model, model, noisy_images, sample)
    assert all(gradient is not None for gradient in whole.values())
    for rank in range(2):
        halves = torch.load(tmp_path / f'gradients_{rank}.pth')
        assert halves.keys() == whole.keys()
        for name, gradient in whole.items():
            scale = gradient.abs().max().clamp(min=1e-8)
            assert (halves[name] - gradient).abs().max() / scale < 1e-5, name
