"""Indices that know the how manieth of the run they are."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Sampler


class NumberedIndex(int):
    """Index of an image, with the number of images that its process had before it.

    The data sets around a data set count their indices anew; the number stays.

    Attributes:
        number: 0 for the first image of an epoch, or of the run in an iteration-based loop.
    """

    number: int

    def __new__(cls, index: int, number: int = -1) -> NumberedIndex:
        """Make one."""
        made = super().__new__(cls, index)
        made.number = number
        return made

    def __add__(self, other: int) -> NumberedIndex:
        """Keep the number."""
        return NumberedIndex(int(self) + int(other), self.number)

    def __sub__(self, other: int) -> NumberedIndex:
        """Keep the number."""
        return NumberedIndex(int(self) - int(other), self.number)

    def __mod__(self, other: int) -> NumberedIndex:
        """Keep the number."""
        return NumberedIndex(int(self) % int(other), self.number)


class NumberedSampler(Sampler):
    """The indices of another sampler, numbered, and from any of them on.

    Args:
        sampler: The sampler.

    Attributes:
        first: Number of the next index that ``sampler`` gives.
        skip: How many indices the next pass leaves out, without a look at their images.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.first = 0
        self.skip = 0

    def __iter__(self) -> Iterator[NumberedIndex]:
        """Go through the indices."""
        skip, self.skip = self.skip, 0
        for index in self.sampler:
            number, self.first = self.first, self.first + 1
            if skip:
                skip -= 1
            else:
                yield NumberedIndex(index, number)

    def __len__(self) -> int:
        """Length of a whole pass."""
        return len(self.sampler)

    def __getattr__(self, name: str) -> Any:
        """What the inner sampler has, such as ``set_epoch``."""
        if name == 'sampler':       # while it is unpickled
            raise AttributeError(name)
        return getattr(self.sampler, name)


def number_indices(loader: DataLoader) -> NumberedSampler:
    """Have the indices of a data loader numbered, from its next pass on; once."""
    batches = loader.batch_sampler
    if not isinstance(batches.sampler, NumberedSampler):
        batches.sampler = NumberedSampler(batches.sampler)
    return batches.sampler
