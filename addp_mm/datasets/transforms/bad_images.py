"""How many images of a training cannot be read."""
from __future__ import annotations

from hashlib import blake2b

import torch
from torch.utils.data import get_worker_info

_MAX_WORKERS = 256
_CAPACITY = 1 << 16


class BadImages:
    """A set of unreadable images, and a count of the loaded ones, common to all workers.

    They live in memory that the workers of one process share. Nothing is locked: each worker
    counts in its own place, and a path that two workers add at once is added again later.
    """

    def __init__(self) -> None:
        self._loads = torch.zeros(_MAX_WORKERS, dtype=torch.int64).share_memory_()
        self._hashes = torch.zeros(_CAPACITY, dtype=torch.int64).share_memory_()

    def count_load(self) -> None:
        """Note that one more image is loaded, readable or not."""
        worker = get_worker_info()
        self._loads[0 if worker is None else worker.id % _MAX_WORKERS] += 1

    def add(self, path: str) -> bool:
        """Note an unreadable image.

        Returns:
            Whether it is a new one.
        """
        key = int.from_bytes(blake2b(path.encode(), digest_size=7).digest(), 'big') + 1
        for step in range(_CAPACITY):
            place = (key + step) % _CAPACITY
            if self._hashes[place] == key:
                return False
            if self._hashes[place] == 0:
                self._hashes[place] = key
                return True
        return False

    @property
    def num_loads(self) -> int:
        """Images loaded so far, in all epochs of this run."""
        return int(self._loads.sum())

    def __len__(self) -> int:
        return int(self._hashes.count_nonzero())

    def __deepcopy__(self, memo: dict) -> BadImages:
        return self     # a copy of a data set, for example a subset, is of the same training
