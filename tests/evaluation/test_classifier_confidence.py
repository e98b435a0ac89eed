from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from addp_mm.evaluation import ClassifierConfidence
from addp_mm.evaluation.feature_extractor import FeatureExtractor, MetricFeatures
from tests.helpers.tiny_features import NAME, random_images


def test_counts_the_sure_images_of_all_batches():
    dark = random_images(20, seed=1) // 16      # or the tiny network would be sure of all
    images = torch.from_numpy(dark).permute(0, 3, 1, 2)
    probs = MetricFeatures(('is', ), FeatureExtractor(NAME))(images)['is'].softmax(dim=1)
    confidence, classes = probs.max(dim=1)
    threshold = float(confidence.sort().values[7:9].mean())     # 12 are above it
    metric = ClassifierConfidence(dict(name=NAME), threshold)
    metric.process({}, [dict(generated=image) for image in images[:15]])
    # As a model makes them: what is saved is cut off.
    metric.process({}, [dict(generated=(image + 0.9) / 255) for image in images[15:].float()])
    assert np.allclose(np.stack(metric.results), probs, atol=1e-5)
    results = metric.evaluate(20)
    counts = classes[confidence > threshold].bincount(minlength=6).tolist()
    assert results.pop('confidence/sure') == 60
    assert results.pop('confidence/classes') == len([count for count in counts if count])
    assert results == {f'confidence/class_{k}': count for k, count in enumerate(counts)}


def test_a_threshold_is_a_probability():
    with pytest.raises(ValueError, match='threshold must lie in .0, 1., got 90'):
        ClassifierConfidence(dict(name=NAME), threshold=90)
