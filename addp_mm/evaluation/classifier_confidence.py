"""How sure a classifier of real images is of generated ones.

Shapes: N images of H x W pixels, C classes.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from ..generation import as_saved
from ..registry import METRICS
from .feature_extractor import FeatureExtractor, MetricFeatures

_LOGITS = 'is'      # the metric whose features are a classifier's logits


@METRICS.register_module()
class ClassifierConfidence(BaseMetric):
    """Share of images that a classifier assigns to a class without doubt, and to which classes.

    The results are ``sure``, the percentage of images whose likeliest class is more probable than
    ``threshold``; ``classes``, how many classes occur among these; and ``class_<k>``, how many of
    these are of class k. A sampler that repeats one good image is as sure: read all three.
    With a ``VQGANTraining`` and ``image_key='reconstruction'`` or ``'image'`` the results are the
    highest that generation can hope for.

    Args:
        extractor: Arguments of :class:`FeatureExtractor`: the classifier, its config and weights.
        threshold: Probability in (0, 1).
        image_key: Where the images stand in a sample.
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: Stands before the results' names.

    Raises:
        FileNotFoundError: If the classifier's weights are missing.
        ValueError: If ``threshold`` is out of range, or weights and config do not fit.
    """

    default_prefix = 'confidence'

    def __init__(self, extractor: dict, threshold: float = 0.9, image_key: str = 'generated',
                 collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not 0 < threshold < 1:
            raise ValueError(f'threshold must lie in (0, 1), got {threshold}.')
        self.extract = MetricFeatures((_LOGITS, ), FeatureExtractor(**extractor))
        self.threshold = threshold
        self.image_key = image_key

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Classify a batch.

        Args:
            data_batch: Not read.
            data_samples: For each image ``image_key``, (3, H, W), RGB, uint8 or floats in [0, 1].
        """
        images = as_saved(torch.stack([sample[self.image_key] for sample in data_samples]))
        probs = self.extract.to(images.device)(images)[_LOGITS].softmax(dim=1)
        self.results.extend(row.numpy() for row in probs)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Count the images of all batches."""
        confidence, classes = torch.from_numpy(np.stack(results)).max(dim=1)
        sure = confidence > self.threshold
        counts = classes[sure].bincount(minlength=len(results[0])).tolist()
        return dict(sure=100 * int(sure.sum()) / len(sure),
                    classes=float(sum(count > 0 for count in counts)),
                    **{f'class_{k}': float(count) for k, count in enumerate(counts)})
