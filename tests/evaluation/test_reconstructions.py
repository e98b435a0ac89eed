from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from addp_mm.evaluation.image_set import open_image_set
from addp_mm.evaluation.reconstructions import Reconstructions
from addp_mm.models.layers import FrozenModule
from tests.helpers.tiny import IMAGE_SIZE, save_tiny_weights, tiny_tokenizer_cfg
from tests.helpers.tiny_features import random_images, write_png


@pytest.fixture
def tokenizer(tmp_path: Path) -> FrozenModule:
    return FrozenModule(tiny_tokenizer_cfg(), save_tiny_weights(tmp_path)['tokenizer'])


def test_as_many_images_of_the_same_size(tokenizer: FrozenModule, tmp_path: Path) -> None:
    folder = write_png(tmp_path / 'images', random_images(3, seed=0, size=IMAGE_SIZE))
    images = open_image_set(folder)
    batches = list(Reconstructions(tokenizer, images).batches(2))
    assert [tuple(batch.shape) for batch in batches] == [
        (n, 3, IMAGE_SIZE, IMAGE_SIZE) for n in (2, 1)]
    assert batches[0].dtype == torch.uint8
    assert not torch.equal(batches[0], next(images.batches(2)))


def test_images_of_another_size_are_refused(tokenizer: FrozenModule, tmp_path: Path) -> None:
    folder = write_png(tmp_path / 'images', random_images(1, seed=0, size=IMAGE_SIZE // 2))
    with pytest.raises(ValueError, match=rf'have \({IMAGE_SIZE // 2}, .* takes \({IMAGE_SIZE}, '):
        Reconstructions(tokenizer, open_image_set(folder))


def test_statistics_alone_are_no_images(tokenizer: FrozenModule, tmp_path: Path) -> None:
    path = tmp_path / 'statistics.npz'
    np.savez(path, mu=np.zeros(4), sigma=np.eye(4))
    with pytest.raises(ValueError, match='Expected images in .*mean and covariance'):
        Reconstructions(tokenizer, open_image_set(path))
