"""FID, Inception Score, precision and recall of generated or reconstructed images.

Shapes: (H, W) pixels of an image.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..generation import as_saved
from ..registry import METRICS
from .feature_extractor import METRICS as NAMES
from .feature_extractor import FeatureExtractor, MetricFeatures
from .generation_scores import CACHE_DIR, ReferenceFeatures, reference_features, score
from .reference_set import open_reference

Row = dict[str, np.ndarray]


@METRICS.register_module()
class GenerationQuality(BaseMetric):
    """Compares images of a model with a reference set, through torch-fidelity.

    With a ``GenerationTestLoop`` the images are generated ones. With a ``VQGANTraining`` and
    ``image_key='reconstruction'`` it measures the tokenizer's reconstructions, by default against
    the very images that were reconstructed.

    The results are ``fid``, ``inception_score`` and ``inception_score_std``, ``precision`` and
    ``recall``. Published numbers are of 50,000 images each (reference release); fewer make FID
    larger.

    Args:
        reference: The reference set, a folder of PNG files or an .npz file; None: the ``image``
            of each sample.
        measures: Some of 'fid', 'is' and 'prc' (precision and recall). Not called `metrics`:
            mmengine would take the config for that of an evaluator.
        extractor: Arguments of :class:`FeatureExtractor`; None: Inception.
        prc_extractor: The same for precision and recall; None: VGG-16 beside Inception, else the
            same as ``extractor``.
        image_key: Where the images stand in a sample.
        batch_size: Images of the reference set at a time.
        cache_dir: Where the features of reference sets are kept; None: nowhere.
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: Stands before the results' names.

    Raises:
        FileNotFoundError: If the reference or the weights of a network are missing.
        ValueError: If an argument is out of range, or the reference is lossy.
    """

    default_prefix = 'generation'

    def __init__(self, reference: str | None = None, measures: Sequence[str] = NAMES,
                 extractor: dict | None = None, prc_extractor: dict | None = None,
                 image_key: str = 'generated', batch_size: int = 64,
                 cache_dir: str | None = str(CACHE_DIR), collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.reference = None if reference is None else open_reference(reference)
        self.extract = MetricFeatures(measures, *(
            None if args is None else FeatureExtractor(**args)
            for args in (extractor, prc_extractor)))
        self.image_key = image_key
        self.batch_size = batch_size
        self.cache_dir = None if cache_dir is None else Path(cache_dir)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Make the features of a batch.

        Args:
            data_batch: Not read.
            data_samples: For each image ``image_key``, and ``image`` where there is no other
                reference: (3, H, W), RGB, uint8 or floats in [0, 1].
        """
        generated = self._rows([sample[self.image_key] for sample in data_samples])
        if self.reference is None and any(name != 'is' for name in self.extract.metrics):
            originals: Iterable[Row | None] = self._rows(
                [sample['image'] for sample in data_samples])
        else:
            originals = repeat(None, len(generated))
        self.results.extend(zip(generated, originals, strict=True))

    def compute_metrics(self, results: list[tuple[Row, Row | None]]) -> dict[str, float]:
        """Compare all images."""
        generated, originals = zip(*results, strict=True)
        if self.reference is not None:
            reference = reference_features(
                self.reference, self.extract, self.cache_dir, self.batch_size)
        elif originals[0] is not None:
            reference = ReferenceFeatures.from_features(_stack(originals))
        else:
            reference = None
        return score(_stack(generated), reference)

    def _rows(self, images: list[Tensor]) -> list[Row]:
        batch = as_saved(torch.stack(images))
        features = self.extract.to(batch.device)(batch)
        # Rows as arrays: a pickled view of a tensor would carry the whole batch.
        return [{metric: values[i].numpy() for metric, values in features.items()}
                for i in range(len(batch))]


def _stack(rows: Sequence[Mapping[str, np.ndarray]]) -> dict[str, Tensor]:
    return {metric: torch.from_numpy(np.stack([row[metric] for row in rows]))
            for metric in rows[0]}
