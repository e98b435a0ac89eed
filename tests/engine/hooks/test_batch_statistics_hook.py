"""All processes have the running statistics that a checkpoint holds."""
from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import torch
from torch import distributed, nn

from addp_mm.engine.hooks import BatchStatisticsHook
from tests.helpers.two_processes import in_two_processes


def average_here() -> None:
    norm = nn.BatchNorm1d(2)
    model = nn.Sequential(norm, nn.BatchNorm1d(3, track_running_stats=False), nn.Linear(2, 2))
    rank = distributed.get_rank()
    norm.running_mean.copy_(torch.tensor([1., 2.]) * (1 + 2 * rank))
    norm.running_var.fill_(4. + rank)
    BatchStatisticsHook().after_train_iter(SimpleNamespace(model=model), 0)
    assert norm.running_mean.tolist() == [2., 4.] and norm.running_var.tolist() == [4.5, 4.5]


def test_they_are_the_average(tmp_path: Path):
    in_two_processes(average_here, tmp_path)


def test_one_process_keeps_its_own():
    norm = nn.BatchNorm1d(2)
    norm(torch.rand(4, 2))
    before = norm.running_mean.clone()
    BatchStatisticsHook().after_train_iter(SimpleNamespace(model=norm), 0)
    assert torch.equal(norm.running_mean, before)
