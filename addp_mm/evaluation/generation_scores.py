"""FID, Inception Score, precision and recall of features, by torch-fidelity's functions.

Shapes: N images, D feature channels.
"""
from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from ..checkpoints.weight_files import load_weights, save_weights
from .feature_extractor import MetricFeatures
from .image_set import ImageSet

_CACHE_HOME = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
CACHE_DIR = Path(_CACHE_HOME, 'addp_mm', 'references')
IS_SPLITS = 10
IS_SEED = 2020                  # torch-fidelity's default, of the shuffle before the split
MANY_IMAGES = 20_000            # from here on, all distances at once would take over 3 GB
# Covariances need two images, the splits of the Inception Score one each, and the third neighbour
# of precision and recall three others.
_NEEDED = {'fid': 2, 'is': IS_SPLITS, 'prc': 4}


@dataclass
class ReferenceFeatures:
    """What generated images are compared with.

    Attributes:
        num_images: How many images it was made of; None if that is not known.
        mean: Mean of FID's features, (D, ) float32; None without FID.
        covariance: Their covariance, (D, D) float64; None without FID.
        prc: Features (N, D) of each image for precision and recall; None without these.
    """

    num_images: int | None
    mean: Tensor | None = None
    covariance: Tensor | None = None
    prc: Tensor | None = None

    @classmethod
    def from_features(cls, features: Mapping[str, Tensor]) -> ReferenceFeatures:
        """Keep what the metrics need of the features of all images."""
        mean = covariance = None
        if 'fid' in features:
            statistics = _statistics(features['fid'])
            mean, covariance = (torch.from_numpy(statistics[key]) for key in ('mu', 'sigma'))
        return cls(len(next(iter(features.values()))), mean, covariance, features.get('prc'))

    def save(self, path: Path) -> None:
        """Write a weight file."""
        tensors = dict(num_images=torch.tensor(self.num_images), mean=self.mean,
                       covariance=self.covariance, prc=self.prc)
        save_weights({k: v for k, v in tensors.items() if v is not None}, path, overwrite=True)

    @classmethod
    def load(cls, path: Path) -> ReferenceFeatures:
        """Read what :meth:`save` wrote."""
        tensors = load_weights(path)
        return cls(int(tensors.pop('num_images')), **tensors)


def extract_features(images: ImageSet, extract: MetricFeatures, batch_size: int = 64,
                     on_images: Callable[[int, int], None] | None = None) -> dict[str, Tensor]:
    """Make the features of a whole set.

    Args:
        images: The set.
        extract: Makes features of a batch.
        batch_size: Images at a time.
        on_images: Told, after each batch, how many images are done and how many there are.

    Returns:
        For each metric (N, D) float32.
    """
    parts, done = [], 0
    for batch in images.batches(batch_size):
        parts.append(extract(batch))
        done += len(batch)
        if on_images is not None:
            on_images(done, len(images))
    return {metric: torch.cat([part[metric] for part in parts]) for metric in extract.metrics}


def reference_features(images: ImageSet, extract: MetricFeatures, cache_dir: Path | None = None,
                       batch_size: int = 64,
                       on_images: Callable[[int, int], None] | None = None
                       ) -> ReferenceFeatures:
    """Make the features of a reference set, or read them from a cache.

    The cache is keyed by the set's ``fingerprint``, and by network, weights and layer.

    Args:
        images: The set.
        extract: Makes features of a batch.
        cache_dir: Folder of the cache; None: no cache.
        batch_size: Images at a time.
        on_images: Told, after each batch, how many images are done and how many there are.
    """
    described = {m: d for m, d in extract.describe().items() if m != 'is'}
    stored: Mapping[str, np.ndarray] | None = getattr(images, 'statistics', None)
    if stored is not None and 'fid' in described and described['fid']['standard']:
        return _with_statistics(stored, images, extract, batch_size, on_images)
    if not len(images):
        raise ValueError(f'{images.path} holds the mean and covariance of Inception\'s features '
                         'only: FID of another network, precision and recall need images.')
    key = json.dumps([images.fingerprint(), described], sort_keys=True)
    name = f'{images.path.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors'
    if cache_dir is not None and (cache_dir / name).is_file():
        return ReferenceFeatures.load(cache_dir / name)
    features = extract_features(images, extract, batch_size, on_images)
    reference = ReferenceFeatures.from_features(features)
    if cache_dir is not None:
        reference.save(cache_dir / name)
        print_log(f'Features of {images.path} are kept in {cache_dir / name}.', 'current')
    return reference


def _with_statistics(stored: Mapping[str, np.ndarray], images: ImageSet, extract: MetricFeatures,
                     batch_size: int,
                     on_images: Callable[[int, int], None] | None) -> ReferenceFeatures:
    """FID's statistics as they are stored in the file, on which published numbers rest."""
    mean, covariance = (torch.from_numpy(stored[name]) for name in ('mu', 'sigma'))
    prc = None
    if 'prc' in extract.metrics:
        if not len(images):
            raise ValueError(f'{images.path} holds mean and covariance only: precision and recall '
                             'need images. Leave out the measure prc.')
        prc = extract_features(images, extract, batch_size, on_images)['prc']
    return ReferenceFeatures(len(images) or None, mean, covariance, prc)


def score(features: Mapping[str, Tensor],
          reference: ReferenceFeatures | None = None) -> dict[str, float]:
    """Compare generated images with a reference.

    Args:
        features: Features (N, D) of the generated images for each wanted metric.
        reference: Features of the reference set, made by the same networks; the Inception Score
            needs none.

    Returns:
        Of ``fid``, ``inception_score``, ``inception_score_std``, ``precision`` and ``recall``
        those that are wanted.

    Raises:
        ValueError: If there are too few images, or features are not finite.
    """
    check_counts(list(features), len(next(iter(features.values()))),
                 (reference and reference.num_images) or 0)
    _check_values(features, reference)
    scores = {}
    if 'fid' in features:
        from torch_fidelity.metric_fid import fid_statistics_to_metric
        assert reference and reference.mean is not None and reference.covariance is not None, \
            '_check_values has seen to it'
        other = dict(mu=reference.mean.numpy(), sigma=reference.covariance.numpy())
        own = _statistics(features['fid'])
        own['mu'] = own['mu'].astype(other['mu'].dtype)     # float64 where it comes from a file
        found = fid_statistics_to_metric(own, other, verbose=False)
        scores['fid'] = found['frechet_inception_distance']
    if 'is' in features:
        from torch_fidelity.metric_isc import isc_features_to_metric
        found = isc_features_to_metric(features['is'], IS_SPLITS, True, IS_SEED)
        scores.update(inception_score=found['inception_score_mean'],
                      inception_score_std=found['inception_score_std'])
    if 'prc' in features:
        from torch_fidelity.metric_prc import prc_features_to_metric
        assert reference and reference.prc is not None, '_check_values has seen to it'
        many = max(len(features['prc']), len(reference.prc)) > MANY_IMAGES
        found = prc_features_to_metric(features['prc'], reference.prc, save_cpu_ram=many,
                                       verbose=False)
        scores.update(precision=found['precision'], recall=found['recall'])
    return scores


def _statistics(features: Tensor) -> dict[str, np.ndarray]:
    from torch_fidelity.metric_fid import fid_features_to_statistics
    return fid_features_to_statistics(features)


def check_counts(metrics: Sequence[str], num_images: int, num_reference: int = 0) -> None:
    """See that there are enough images, before features are made of them.

    Args:
        metrics: Some of 'fid', 'is' and 'prc'.
        num_images: How many generated images there are.
        num_reference: How many images the reference set has; 0: it has statistics alone, or there
            is none.

    Raises:
        ValueError: If there are too few.
    """
    for metric in metrics:
        compared = [num_reference] if num_reference and metric != 'is' else []
        smallest = min([num_images, *compared])
        if smallest < _NEEDED[metric]:
            raise ValueError(f'The metric {metric!r} needs at least {_NEEDED[metric]} images in '
                             f'each set, got {smallest}.')


def _check_values(features: Mapping[str, Tensor], reference: ReferenceFeatures | None) -> None:
    for metric, values in features.items():
        if metric != 'is' and reference is None:
            raise ValueError(f'The metric {metric!r} compares with a reference set: name one.')
        if not values.isfinite().all():
            raise ValueError(f'The features of the metric {metric!r} are not finite: are the '
                             'weights of its network right?')
