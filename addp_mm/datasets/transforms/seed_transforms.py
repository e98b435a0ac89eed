"""Augmentation that depends on the image and the epoch only."""
from __future__ import annotations

import random

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.utils.data import get_worker_info

from ...registry import TRANSFORMS
from ..numbered_sampler import NumberedIndex


@TRANSFORMS.register_module()
class SeedTransforms(BaseTransform):
    """Seeds ``random``, numpy and torch's CPU generator for the transforms after it.

    It stands first in the pipeline of the training data. ``SeedIterationHook`` tells it seed and
    epoch; then an image is augmented in the same way whatever the number of workers, and after an
    interruption. Without that hook it does nothing. It serves the transforms of every library that
    draws from these generators, as those of mmpretrain, mmdet, mmseg and torchvision do.
    """

    def __init__(self) -> None:
        # Seed, epoch, rank, `once`; a seed of -1 means that none was set.
        self._state = torch.tensor([-1, 0, 0, 0])
        self._epoch: int | None = None
        self._num_calls = 0
        self._attempts = bytearray()
        self._place: tuple[int, int, int] | None = None

    def start_epoch(self, seed: int, epoch: int, rank: int, once: bool) -> None:
        """Set what the seeds are made of, also for workers that live on from an earlier epoch.

        Args:
            seed: Seed of the run.
            epoch: Number of the epoch.
            rank: Number of the process.
            once: Each image comes once in an epoch, so that its index can be its seed. Otherwise
                copies of an image must differ: its place in the run is the seed, see
                :class:`NumberedIndex`.
        """
        # A worker reads the memory that is shared when it starts; copies of a data set lose that.
        self._state.share_memory_()
        self._state.copy_(torch.tensor([seed, epoch, rank, int(once)]))

    def transform(self, results: dict) -> dict:
        """Seed the generators.

        Args:
            results: ``sample_idx``: number of the image, as mmengine's data sets give it.

        Returns:
            ``results``, unchanged.
        """
        seed, epoch, rank, once = self._state.tolist()
        if seed >= 0:
            if epoch != self._epoch:
                self._epoch, self._num_calls, self._attempts = epoch, 0, bytearray()
            index = results.get('sample_idx')
            source = self._image(index) if once and index is not None else self._copy(index, rank)
            _seed_all(seed, epoch, *source)
        return results

    def _image(self, index: int) -> tuple[int, int]:
        """Number of the image, and how often this worker had it in this epoch.

        A data set that gets nothing usable draws another image from numpy's generator. Without the
        second number, several broken images could send it from one to the other without end.
        """
        if index >= len(self._attempts):
            self._attempts.extend(bytes(index + 1 - len(self._attempts)))
        attempt = self._attempts[index]
        self._attempts[index] = min(attempt + 1, 255)
        return index, attempt

    def _copy(self, index: int | None, rank: int) -> tuple[int, int, int]:
        """Rank, place in the run, and how many images the data set tried for that place.

        An image that is drawn in place of an unusable one has no number of its own.
        """
        if isinstance(index, NumberedIndex):
            self._place = rank, index.number, 0
        elif self._place is not None:
            self._place = rank, self._place[1], self._place[2] + 1
        return self._place or self._call(rank)

    def _call(self, rank: int) -> tuple[int, int, int]:
        """Rank, worker, and how often this worker was called in this epoch."""
        worker = get_worker_info()
        self._num_calls += 1
        return rank, 0 if worker is None else worker.id, self._num_calls


def _seed_all(*numbers: int) -> None:
    seed = int(np.random.SeedSequence(numbers).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    # Not torch.manual_seed: it would also queue a seeding of all GPUs, in every worker.
    torch.default_generator.manual_seed(seed)
