"""A classifier sees images as it was trained to, wherever its config has the preprocessor."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from addp_mm.checkpoints.weight_files import save_weights
from addp_mm.evaluation.classifier_features import ClassifierFeatures
from addp_mm.registry import MODELS

PREPROCESSOR = dict(type='ClsDataPreprocessor', mean=[120.] * 3, std=[60.] * 3, to_rgb=True)
CLASSIFIER = dict(
    type='ImageClassifier',
    backbone=dict(type='VisionTransformer', img_size=16, patch_size=8, arch=dict(
        embed_dims=16, num_layers=1, num_heads=2, feedforward_channels=16)),
    head=dict(type='VisionTransformerClsHead', num_classes=3, in_channels=16))


def features_of(folder: Path, **config: dict) -> torch.Tensor:
    Config(config).dump(folder / 'classifier.py')
    extractor = ClassifierFeatures('classifier', ['features', 'logits'], str(folder / 'a.pth'),
                                   str(folder / 'classifier.py')).eval()
    images = torch.arange(2 * 3 * 16 * 16).remainder(256).view(2, 3, 16, 16).byte()
    with torch.no_grad():
        features, logits = extractor(images)
    assert features.shape == (2, 16) and logits.shape == (2, 3)
    return torch.cat((features, logits), dim=1)


def test_the_preprocessor_may_stand_beside_the_model(tmp_path: Path):
    save_weights(MODELS.build(CLASSIFIER).state_dict(), tmp_path / 'a.pth')
    inside = features_of(tmp_path, model=dict(CLASSIFIER, data_preprocessor=PREPROCESSOR))
    beside = features_of(tmp_path, model=CLASSIFIER, data_preprocessor=PREPROCESSOR)
    assert torch.equal(beside, inside)


def test_a_config_without_a_model(tmp_path: Path):
    save_weights(MODELS.build(CLASSIFIER).state_dict(), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'classifier\.py has no `model`'):
        features_of(tmp_path, data_preprocessor=PREPROCESSOR)
