"""The images of a data set in little memory, in an order that no storage changes."""
from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import overload

import numpy as np
from mmengine.fileio import BaseStorageBackend, get_file_backend

_CHUNK = 1 << 16        # images at a time that are taken up
Sample = tuple[str, int | None]


class ImageList(Sequence[dict]):
    """What mmengine's data sets call a data list: a dictionary for each image.

    The dictionaries are made when they are asked for. Kept are the names end to end in one array,
    their ends and the labels: about 50 bytes an image. Processes that load images share them.

    Args:
        folder: Folder that the names are relative to, on any storage of mmengine.
        samples: Name and label of each image; None for a label is no label, and then for all.
    """

    def __init__(self, folder: str, samples: Iterable[Sample]) -> None:
        self.folder = folder
        names, lengths, labels = bytearray(), [], []
        samples = iter(samples)
        while chunk := list(islice(samples, _CHUNK)):
            encoded = [os.fsencode(name) for name, _ in chunk]
            names += b''.join(encoded)
            lengths.append(np.fromiter(map(len, encoded), np.int64, len(chunk)))
            if chunk[0][1] is not None:
                labels.append(np.array([label for _, label in chunk], np.int64))
        self._names = np.frombuffer(names, np.uint8)
        self._ends = np.cumsum(np.concatenate(lengths)) if lengths else np.zeros(0, np.int64)
        self.labels: np.ndarray | None = np.concatenate(labels) if labels else None

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> dict: ...

    @overload
    def __getitem__(self, index: slice) -> list[dict]: ...

    def __getitem__(self, index: int | slice) -> dict | list[dict]:
        """``img_path`` and, with labels, ``gt_label`` of one image; a list of them for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        backend = get_file_backend(self.folder, enable_singleton=True)
        info = dict(img_path=backend.join_path(self.folder, self.name(index)))
        return info if self.labels is None else dict(info, gt_label=int(self.labels[index]))

    def name(self, index: int) -> str:
        """The name of an image.

        Raises:
            IndexError: If there is none of this index.
        """
        index = range(len(self))[index]
        start = self._ends[index - 1] if index else 0
        return os.fsdecode(self._names[start:self._ends[index]].tobytes())

    def take(self, indices: Iterable[int]) -> ImageList:
        """A list of some of the images."""
        return ImageList(self.folder, (
            (self.name(i), None if self.labels is None else int(self.labels[i])) for i in indices))


def files_below(backend: BaseStorageBackend, folder: str, prefix: str = '') -> Iterator[str]:
    """Names of all files below a folder, relative to it, in the order of the whole names.

    One folder at a time is in memory. What a storage lists decides: on a local disk files whose
    names begin with a dot are left out, and links are followed.

    Args:
        backend: mmengine's backend of the storage, able to list folders.
        folder: The folder.
        prefix: Stands before each name.
    """
    files = backend.list_dir_or_file(folder, list_dir=False)
    folders = backend.list_dir_or_file(folder, list_file=False)
    # With its slash a folder stands where the names in it belong among those of the files.
    for name in sorted([*files, *(f'{name}/' for name in folders)]):
        if name.endswith('/'):
            yield from files_below(backend, backend.join_path(folder, name[:-1]), prefix + name)
        else:
            yield prefix + name
