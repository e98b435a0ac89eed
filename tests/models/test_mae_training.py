"""mmpretrain's MAE with a score of held-out images."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.models import MAE

from addp_mm.apis.model_source import find_shipped
from addp_mm.models import MAETraining
from addp_mm.registry import MODELS

SMALL = {
    'backbone.arch': dict(embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16),
    'backbone.img_size': 32, 'neck.num_patches': 16, 'neck.embed_dim': 16,
    'neck.decoder_embed_dim': 16, 'neck.decoder_depth': 1, 'neck.decoder_num_heads': 2}


@pytest.fixture
def model() -> Iterator[MAETraining]:
    cfg = Config.fromfile(find_shipped('configs') / 'nuclei/mae_nuclei-64.py')
    cfg.merge_from_dict({f'model.{key}': value for key, value in SMALL.items()})
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
        model.init_weights()
        yield model


def batch(count: int = 2) -> dict:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    return dict(inputs=images, data_samples=None)


def test_it_trains_as_its_parent(model: MAETraining):
    images = model.data_preprocessor(batch())['inputs']
    torch.manual_seed(1)
    loss = model.loss(images, None)['loss']
    torch.manual_seed(1)
    assert torch.equal(loss, MAE.loss(model, images, None)['loss'])


def test_the_mean_colours_explain_nothing_and_the_truth_everything(
        model: MAETraining, monkeypatch: pytest.MonkeyPatch):
    images = model.data_preprocessor(batch())['inputs']
    target = model.head.construct_target(images)
    colours = target.unflatten(-1, (64, 3))
    means = colours.mean(dim=2, keepdim=True).expand_as(colours).flatten(2)
    for pixels, explained in ((means, 0.), (target, 1.)):
        monkeypatch.setattr(model.neck, 'forward', lambda *args, pixels=pixels: pixels)
        scores = model.val_step(batch())
        assert len(scores) == 2
        for score in scores:
            assert 1 - score['error'] / score['deviation'] == pytest.approx(explained, abs=1e-6)


def test_only_hidden_patches_count(model: MAETraining):
    images = model.data_preprocessor(batch())['inputs']
    target = model.head.construct_target(images)
    mask = torch.zeros(2, 16)
    mask[:, 3] = 1
    wrong = target.clone()
    wrong[:, :3] += 9
    assert [score['error'] for score in model._score(wrong, images, mask)] == [0, 0]
    wrong[:, 3] += 2
    assert [score['error'] for score in model._score(wrong, images, mask)] == [
        pytest.approx(4, rel=1e-5)] * 2


def test_a_validation_repeats_itself_and_touches_no_draw_of_training(model: MAETraining):
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    first = model.val_step(batch())
    assert torch.equal(torch.rand(1), wanted)
    assert model.test_step(batch()) == first
