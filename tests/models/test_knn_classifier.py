"""KNNClassifier: votes of the nearest labelled images, and no features of random weights."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_state_dict

from addp_mm.registry import MODELS
from tests.helpers.tiny import STRIDE, build_model, tiny_addp_cfg
from tests.helpers.tiny_recognition import ARCH, NUM_CLASSES, write_classes

BACKBONE = dict(type='ADDPViT', arch=ARCH, img_size=32, patch_size=STRIDE, pre_norm=False,
                final_norm=False, drop_rate=0., out_type='avg_featmap')


def knn(folder: Path, **options):
    init_default_scope('mmpretrain')
    pipeline = [dict(type='LoadRobustImage'), dict(type='Resize', scale=32),
                dict(type='PackInputs')]
    gallery = dict(
        batch_size=5, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='ImageFolder', data_root=str(folder), data_prefix='train',
                     with_label=True, test_mode=True, pipeline=pipeline))
    cfg = dict(type='KNNClassifier', backbone=BACKBONE, gallery=gallery, num_classes=NUM_CLASSES,
               num_neighbors=3, data_preprocessor=dict(mean=[127.] * 3, std=[60.] * 3)) | options
    return MODELS.build(Config(cfg)).eval()


def test_votes_are_weighted_by_similarity(tmp_path: Path):
    model = knn(tmp_path, num_neighbors=2, temperature=0.5)
    known = torch.eye(4)[:3]
    model._encoded = known, torch.tensor([4, 4, 1])
    query = torch.nn.functional.normalize(torch.tensor([[3., 0., 2., 0.]]), dim=1)
    scores = model.vote(query)
    votes = torch.exp(query[0, [0, 2]] / 0.5)       # of classes 4 and 1; the third is too far
    expected = torch.zeros(1, NUM_CLASSES)
    expected[0, [4, 1]] = votes / votes.sum()
    torch.testing.assert_close(scores, expected)


def test_an_image_of_the_gallery_is_its_own_neighbour(tmp_path: Path):
    model = knn(write_classes(tmp_path), num_neighbors=1)
    known, labels = model._encode_gallery()
    assert known.shape == (2 * NUM_CLASSES, ARCH['embed_dims'])
    torch.testing.assert_close(known.norm(dim=1), torch.ones(len(known)))
    model._encoded = known, labels
    assert model.vote(known).argmax(dim=1).tolist() == labels.tolist() == [
        label for label in range(NUM_CLASSES) for _ in range(2)]


def test_predictions_go_into_the_samples(tmp_path: Path):
    model = knn(write_classes(tmp_path))
    samples = model(torch.randn(2, 3, 32, 32), mode='predict')
    assert len(samples) == 2
    torch.testing.assert_close(samples[0].pred_score.sum(), torch.tensor(1.))
    assert samples[0].pred_label == samples[0].pred_score.argmax()


def test_it_takes_the_encoder_of_a_pretraining(tmp_path: Path):
    addp = build_model(tiny_addp_cfg(tmp_path, backbone=dict(arch=ARCH)))
    model = knn(tmp_path)
    model._encoded = 'of earlier weights'
    load_state_dict(model, addp.state_dict(), strict=False)
    torch.testing.assert_close(model.backbone.layers[1].attn.qkv.weight,
                               addp.backbone.layers[1].attn.qkv.weight)
    assert model._encoded is None


def test_a_checkpoint_without_the_encoder_stops(tmp_path: Path):
    with pytest.raises(ValueError, match='of its tensors are missing'):
        load_state_dict(knn(tmp_path), {'head.fc.weight': torch.zeros(1)}, strict=False)


def test_the_norm_must_be_in_the_checkpoint(tmp_path: Path):
    plain = knn(tmp_path)
    backbone = dict(BACKBONE, pre_norm=True)
    with pytest.raises(ValueError, match=r'missing, the first is pre_norm.*pre_norm=False'):
        load_state_dict(knn(tmp_path, backbone=backbone), plain.state_dict(), strict=False)


def test_a_deeper_encoder_stops(tmp_path: Path):
    deeper = knn(tmp_path, backbone=dict(BACKBONE, arch=dict(ARCH, num_layers=3)))
    with pytest.raises(ValueError, match=r'of a deeper encoder, which has layers\.2'):
        load_state_dict(knn(tmp_path), deeper.state_dict(), strict=False)


def test_what_the_encoder_does_without_is_said(tmp_path: Path, caplog):
    MMLogger.get_current_instance().addHandler(caplog.handler)
    other = knn(tmp_path, backbone=dict(BACKBONE, pre_norm=True))
    weights = other.state_dict()
    table = 'backbone.layers.0.attn.relative_position_bias_table'
    load_state_dict(knn(tmp_path), {**weights, table: torch.zeros(1)}, strict=False)
    assert 'trained with pre_norm, which the frozen ADDPViT does not have' in caplog.text
    assert f'1 tables ({table.removeprefix("backbone.")}) are left out' in caplog.text


def test_scales_of_layers_are_folded(tmp_path: Path):
    model, weights = knn(tmp_path), knn(tmp_path).state_dict()
    scales = {f'backbone.layers.{i}.{name}.weight': torch.full((ARCH['embed_dims'], ), 2.)
              for i in range(2) for name in ('attn.gamma1', 'ffn.gamma2')}
    load_state_dict(model, {**weights, **scales}, strict=False)
    name = 'layers.1.attn.proj.weight'
    assert torch.equal(model.backbone.state_dict()[name], 2 * weights[f'backbone.{name}'])


def test_more_neighbours_than_images(tmp_path: Path):
    model = knn(write_classes(tmp_path), num_neighbors=13)
    with pytest.raises(ValueError, match='num_neighbors=13 .* 12 labelled images'):
        model(torch.randn(1, 3, 32, 32), mode='predict')


@pytest.mark.parametrize('options', [dict(num_neighbors=0), dict(temperature=0.)])
def test_numbers_must_be_positive(tmp_path: Path, options: dict):
    with pytest.raises(ValueError, match='must be positive'):
        knn(tmp_path, **options)
