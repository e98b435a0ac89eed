"""Two processes on half of the batch each, against the same computed in one process."""
from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from torch import Tensor

from addp_mm.engine.optim_wrappers import JointOptimWrapperConstructor
from addp_mm.models.vqgan import Codebook, CodebookTraining, VQGANTraining
from tests.helpers.tiny import build_model, tiny_batch, tiny_tokenizer_cfg

pytestmark = pytest.mark.slow

LR = 1e-2
NUM_CODES, CODE_DIMS = 6, 3
START = 1       # the discriminator sleeps in the first of two iterations


def build() -> VQGANTraining:
    torch.manual_seed(0)
    return build_model(dict(
        type='VQGANTraining', tokenizer=tiny_tokenizer_cfg(),
        discriminator=dict(type='PatchDiscriminator', channels=8, num_layers=2),
        adversarial_loss=dict(type='AdversarialLoss', start=START)))


def batches(iteration: int) -> list[dict]:
    """The halves of a batch."""
    torch.manual_seed(100 + iteration)
    return [tiny_batch(), tiny_batch()]


def wrapper_of(model: torch.nn.Module):
    part = dict(optimizer=dict(type='SGD', lr=LR))
    return JointOptimWrapperConstructor(dict(tokenizer=part, discriminator=part))(model)


def train(rank: int) -> dict[str, Tensor]:
    model = MMDistributedDataParallel(build(), broadcast_buffers=False)
    wrapper = wrapper_of(model)
    for iteration in range(2):
        MessageHub.get_current_instance().update_info('iter', iteration)
        model.train_step(batches(iteration)[rank], wrapper)
    return dict(model.module.named_parameters())


def halves(rank: int | None) -> Tensor:
    """Latents of two halves of a batch, far from some of the codes."""
    points = torch.randn(2, 8, CODE_DIMS, generator=torch.Generator().manual_seed(3)) + 1
    points = points.view(1, -1, CODE_DIMS) if rank is None else points[rank][None]
    return points.permute(0, 2, 1)[..., None]


def move_codes(rank: int | None, **kwargs) -> dict[str, Tensor]:
    torch.manual_seed(0)
    codebook = Codebook(NUM_CODES, CODE_DIMS)
    training = CodebookTraining(NUM_CODES, CODE_DIMS, ema_decay=0.5, **kwargs)
    torch.manual_seed(rank or 0)    # as under randomness.diff_rank_seed
    for _ in range(3):
        training(codebook, halves(rank))
    return dict(codes=codebook.embedding.weight.detach(), **training.state_dict())


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2,
                            timeout=timedelta(seconds=60))
    results = dict(parameters=train(rank), moved=move_codes(rank),
                   revived=move_codes(rank, revive_after=1, init_from_data=True))
    torch.save(results, folder / f'{rank}.pth')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp('distributed')
    mp.spawn(work, args=(folder, ), nprocs=2)
    return [torch.load(folder / f'{rank}.pth') for rank in range(2)]


def test_both_networks_step_by_the_mean_gradient(results: list[dict]):
    model = build()
    for iteration in range(2):
        MessageHub.get_current_instance().update_info('iter', iteration)
        sums: dict[str, Tensor] = {}
        for half in batches(iteration):
            losses = model.loss(half['inputs'].flip(1) / 255)
            of_each = model.parse_losses(losses)[0]
            gradients = torch.autograd.grad(sum(of_each.values()), list(model.parameters()))
            for (name, _), gradient in zip(model.named_parameters(), gradients, strict=True):
                sums[name] = sums.get(name, 0) + gradient
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= LR * sums[name] / 2
    for name, wanted in model.named_parameters():
        for result in results:
            torch.testing.assert_close(
                result['parameters'][name], wanted, rtol=1e-4, atol=1e-6, msg=name)


def test_moving_averages_are_those_of_the_whole_batch(results: list[dict]):
    whole = move_codes(None)
    for result in results:
        for name, wanted in whole.items():
            torch.testing.assert_close(result['moved'][name], wanted, msg=name)


def test_all_processes_revive_the_same_codes(results: list[dict]):
    first, second = (result['revived'] for result in results)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
