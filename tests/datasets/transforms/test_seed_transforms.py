"""SeedTransforms: an augmentation is a function of seed, epoch and image."""
from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from addp_mm.datasets.transforms import SeedTransforms


def draw(transform: SeedTransforms, index: int) -> tuple[float, float, float]:
    transform(dict(sample_idx=index))
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def started(seed: int = 0, epoch: int = 0, rank: int = 0, once: bool = True) -> SeedTransforms:
    transform = SeedTransforms()
    transform.start_epoch(seed, epoch, rank, once)
    return transform


class Draws(Dataset):
    """Each item is what the generators give after seeding."""

    def __init__(self, transform: SeedTransforms, length: int = 6) -> None:
        self.transform = transform
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor(draw(self.transform, index), dtype=torch.float64)


def items(dataset: Dataset, **kwargs) -> list[tuple[float, ...]]:
    return [tuple(row.tolist()) for batch in DataLoader(dataset, **kwargs) for row in batch]


def test_draws_depend_on_seed_epoch_and_image_only():
    expected = draw(started(), 3)
    assert draw(started(rank=5), 3) == expected
    other = started()
    draw(other, 1)
    assert draw(other, 3) == expected
    assert len({expected, draw(started(seed=1), 3), draw(started(epoch=1), 3),
                draw(started(), 4)}) == 4


def test_without_the_hook_nothing_is_seeded():
    torch.manual_seed(5)
    expected = float(torch.rand(()))
    torch.manual_seed(5)
    assert draw(SeedTransforms(), 3)[2] == expected


def test_second_try_of_an_image_is_another_one():
    transform = started()
    first, second = draw(transform, 2), draw(transform, 2)
    assert first != second
    transform.start_epoch(0, 1, 0, True)
    assert draw(transform, 2) == draw(started(epoch=1), 2)


def test_broken_images_cannot_send_each_other_round_in_circles():
    # As in BaseDataset.__getitem__: of 5 images only the last is readable.
    for seed in range(30):
        transform, index = started(seed=seed), 0
        for _ in range(100):
            transform(dict(sample_idx=index))
            if index == 4:
                break
            index = np.random.randint(0, 5)
        assert index == 4


@pytest.mark.parametrize('num_workers', [1, 2])
def test_number_of_workers_changes_nothing(num_workers):
    expected = items(Draws(started()), batch_size=2)
    assert items(Draws(started()), batch_size=2, num_workers=num_workers) == expected


def test_persistent_workers_see_the_next_epoch():
    transform = started()
    loader = DataLoader(Draws(copy.deepcopy(transform), 2), num_workers=1,
                        persistent_workers=True)
    inner = loader.dataset.transform
    got = []
    for epoch in range(2):
        inner.start_epoch(0, epoch, 0, True)
        got.append([tuple(row[0].tolist()) for row in loader])
    assert got == [[draw(started(epoch=epoch), i) for i in range(2)] for epoch in range(2)]
    loader._iterator = None


def test_copies_of_an_image_differ_in_every_worker_and_rank():
    drawn = set()
    for rank in range(2):
        transform = started(rank=rank, once=False)
        transform._image = None     # must not be asked
        drawn |= set(items(_SameImage(transform, 4), num_workers=2))
    assert len(drawn) == 8


class _SameImage(Draws):
    def __getitem__(self, index: int) -> torch.Tensor:
        return super().__getitem__(0)
