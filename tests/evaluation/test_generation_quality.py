"""The metric of generated images, alone and in mmengine's test of models."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
import addp_mm  # noqa: F401
from addp_mm.evaluation import GenerationQuality
from addp_mm.evaluation.feature_extractor import FeatureExtractor, MetricFeatures
from addp_mm.evaluation.generation_scores import ReferenceFeatures, score
from addp_mm.generation import ImageGenerator, to_pixels
from addp_mm.registry import MODELS
from tests.helpers.tiny import build_model, tiny_addp_cfg, tiny_tokenizer_cfg
from tests.helpers.tiny_features import NAME, random_images, write_png

TINY = dict(name=NAME)


def as_samples(images: np.ndarray, **others: np.ndarray) -> list[dict]:
    """Samples with ``generated`` and others, each (3, H, W)."""
    parts = dict(generated=images, **others)
    return [{name: torch.from_numpy(part[i]).permute(2, 0, 1) for name, part in parts.items()}
            for i in range(len(images))]


def expected(generated: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """The scores of two arrays of images, by the functions under the metric."""
    extract = MetricFeatures(extractor=FeatureExtractor(NAME))
    features = [extract(torch.from_numpy(part).permute(0, 3, 1, 2))
                for part in (generated, reference)]
    scores = score(features[0], ReferenceFeatures.from_features(features[1]))
    return {f'generation/{name}': value for name, value in scores.items()}


def test_against_a_folder(tmp_path: Path):
    generated, reference = random_images(20, seed=1), random_images(15, seed=2)
    metric = GenerationQuality(str(write_png(tmp_path / 'reference', reference)), extractor=TINY,
                               cache_dir=str(tmp_path / 'cache'))
    for part in (slice(12), slice(12, 20)):
        metric.process({}, as_samples(generated[part]))
    assert metric.evaluate(20) == pytest.approx(expected(generated, reference), rel=1e-5)
    assert len(list((tmp_path / 'cache').iterdir())) == 1


def test_reconstructions_against_their_originals():
    images, changed = random_images(20, seed=1), random_images(20, seed=2)
    metric = GenerationQuality(extractor=TINY, image_key='reconstruction')
    # Reconstructions are cut off; originals come back as they were.
    samples = as_samples(images, image=(images / 255).astype(np.float32),
                         reconstruction=((changed + 0.9) / 255).astype(np.float32))
    metric.process({}, samples)
    assert metric.evaluate(20) == pytest.approx(expected(changed, images), rel=1e-4)


def test_the_inception_score_needs_no_reference():
    metric = GenerationQuality(extractor=TINY, measures=('is', ))
    metric.process({}, as_samples(random_images(20, seed=1)))
    assert list(metric.evaluate(20)) == ['generation/inception_score',
                                         'generation/inception_score_std']


def test_what_is_missing_is_told_before_the_test(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match='nowhere'):
        GenerationQuality(str(tmp_path / 'nowhere'), extractor=TINY)
    with pytest.raises(FileNotFoundError, match='weights.pth'):
        GenerationQuality(extractor=dict(weights=str(tmp_path / 'weights.pth')))


def run_test(tmp_path: Path, **parts: dict) -> dict[str, float]:
    """The metrics of mmengine's test of a config."""
    runner = Runner.from_cfg(Config(dict(
        work_dir=str(tmp_path / 'work_dir'), default_scope='mmpretrain',
        experiment_name=tmp_path.name, **parts)))
    return runner.test()


def test_generated_images_of_a_model(tmp_path: Path):
    cfg = tiny_addp_cfg(tmp_path)
    reference = write_png(tmp_path / 'reference', random_images(12, seed=2, size=32))
    model = build_model(cfg).eval()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'model.pth')
    metrics = run_test(
        tmp_path, model=cfg, load_from=str(tmp_path / 'model.pth'),
        test_dataloader=dict(batch_size=5, dataset=dict(type='ImageIndices', num_images=12),
                             sampler=dict(type='DefaultSampler', shuffle=False)),
        test_cfg=dict(type='GenerationTestLoop', sampler=dict(num_steps=3), seed=4),
        test_evaluator=dict(type='GenerationQuality', reference=str(reference), extractor=TINY,
                            cache_dir=None))
    generator = ImageGenerator(model, dict(num_steps=3))
    pixels = to_pixels(generator.generate(range(12), seed=4).images)
    other = to_pixels(generator.generate(range(12), seed=5).images)
    wanted = random_images(12, seed=2, size=32)
    assert metrics['generation/fid'] == pytest.approx(
        expected(pixels.numpy(), wanted)['generation/fid'], rel=1e-3)
    assert metrics['generation/fid'] != pytest.approx(
        expected(other.numpy(), wanted)['generation/fid'], rel=1e-3)


def test_reconstructions_of_a_tokenizer(tmp_path: Path):
    write_png(tmp_path / 'images', random_images(10, seed=1, size=32))
    loader = dict(
        batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='ImageFolder', data_root=str(tmp_path / 'images'),
                     pipeline=[dict(type='LoadImageFromFile'), dict(type='PackInputs')]))
    metrics = run_test(
        tmp_path, model=dict(type='VQGANTraining', tokenizer=tiny_tokenizer_cfg()),
        test_dataloader=loader, test_cfg=dict(),
        test_evaluator=dict(type='GenerationQuality', measures=('fid', 'prc'), extractor=TINY,
                            image_key='reconstruction', prefix='reconstruction'))
    assert metrics['reconstruction/fid'] > 1 and metrics['reconstruction/precision'] <= 1


@pytest.fixture
def classifier(tmp_path: Path) -> dict[str, str]:
    """Config and weights of a classifier for images of 16 pixels."""
    model = dict(
        type='ImageClassifier',
        data_preprocessor=dict(num_classes=4, mean=[127.5] * 3, std=[50, 60, 70], to_rgb=True),
        backbone=dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=4, in_channels=64))
    Config(dict(model=model)).dump(tmp_path / 'classifier.py')
    built = MODELS.build(dict(model, _scope_='mmpretrain'))
    torch.save(dict(state_dict=built.state_dict()), tmp_path / 'classifier.pth')
    return dict(name='classifier', config=str(tmp_path / 'classifier.py'),
                weights=str(tmp_path / 'classifier.pth'))


def test_a_classifier_makes_the_features(classifier: dict[str, str]):
    images = random_images(12, seed=1)
    extract = MetricFeatures(extractor=FeatureExtractor(**classifier))
    made = extract(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert made['fid'].shape == made['prc'].shape == (12, 64) and made['is'].shape == (12, 4)
    model = MODELS.build(dict(Config.fromfile(classifier['config']).model, _scope_='mmpretrain'))
    model.load_state_dict(torch.load(classifier['weights'])['state_dict'])
    model.eval()
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    normalised = (pixels - 127.5) / torch.tensor([50, 60, 70])[:, None, None]   # in RGB
    torch.testing.assert_close(made['is'], model(normalised), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        made['fid'], model.extract_feat(normalised, stage='pre_logits'), rtol=1e-4, atol=1e-4)


def test_a_classifier_needs_config_and_its_own_weights(classifier: dict[str, str], tmp_path: Path):
    with pytest.raises(ValueError, match='needs its config'):
        MetricFeatures(('fid', ), FeatureExtractor(**{**classifier, 'config': None}))
    torch.save(dict(state_dict={'fc': torch.zeros(1)}), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth does not hold the weights of classifier'):
        MetricFeatures(('fid', ), FeatureExtractor(
            **{**classifier, 'weights': str(tmp_path / 'other.pth')}))
