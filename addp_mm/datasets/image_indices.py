"""A data set without data: the numbers of the images to be generated."""
from __future__ import annotations

from torch.utils.data import Dataset

from ..registry import DATASETS


@DATASETS.register_module()
class ImageIndices(Dataset):
    """Numbers 0 to ``num_images`` - 1, which a data loader divides among batches and processes.

    Args:
        num_images: How many, at least 1.

    Raises:
        ValueError: If ``num_images`` is less.
    """

    metainfo: dict = {}

    def __init__(self, num_images: int) -> None:
        if num_images < 1:
            raise ValueError(f'num_images must be at least 1, got {num_images}.')
        self.num_images = num_images

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, int]:
        """Return ``index`` under its name."""
        return dict(index=index)
