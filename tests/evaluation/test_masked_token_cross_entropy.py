"""Held-out scores do not depend on how the images are divided among batches and processes."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch

from addp_mm.evaluation import MaskedTokenCrossEntropy
from addp_mm.registry import MODELS
from tests.helpers.tiny import tiny_addp_cfg, tiny_batch, tiny_mage_training_cfg


class Sample:
    """An image's place in its data set, as mmpretrain's samples know it."""

    def __init__(self, sample_idx: int) -> None:
        self.sample_idx = sample_idx


def scores_in(model: torch.nn.Module, images: torch.Tensor,
              indices: list[list[int]]) -> dict[str, float]:
    """What is measured of 5 images in batches of these."""
    metric = MaskedTokenCrossEntropy()
    for batch in indices:
        data = dict(inputs=images[batch], data_samples=[Sample(i) for i in batch])
        with torch.no_grad():
            metric.process(data, model.val_step(data))
    return metric.evaluate(5)


@pytest.mark.parametrize('make, options', [
    (tiny_mage_training_cfg, {}), (tiny_addp_cfg, {}),
    (tiny_addp_cfg, dict(data_preprocessor=dict(diffusion=dict(mapping='sampling'))))])
def test_batches_and_padding_do_not_count(tmp_path: Path, make, options: dict) -> None:
    cfg = make(tmp_path)
    if options:
        cfg['data_preprocessor']['diffusion'] = dict(type='DiffusionProcess', mapping='sampling')
    model = MODELS.build(cfg)
    model.init_weights()
    model.eval()
    images = tiny_batch(5)['inputs']
    whole = scores_in(model, images, [[0, 1, 2, 3, 4]])
    assert scores_in(model, images, [[0, 1], [2, 3], [4]]) == pytest.approx(whole, rel=1e-6)
    # Two processes get images 0, 2, 4 and 1, 3, 0: mmengine brings them in order and cuts the end.
    assert scores_in(model, images, [[0, 1, 2], [3, 4, 0]]) == pytest.approx(whole, rel=1e-6)
