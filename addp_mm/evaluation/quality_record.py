"""What was measured, with everything needed to measure it again."""
from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib import metadata
from typing import Any

from ..result_folder import SETTINGS, read_json
from ..version import __version__
from .feature_extractor import MetricFeatures
from .generation_scores import IS_SEED, IS_SPLITS
from .image_set import ImageSet
from .reference_set import read_reference_record

USUAL_COUNT = 50_000            # reference protocol
_PACKAGES = ('torch', 'torchvision', 'torch-fidelity', 'numpy', 'pillow')


def describe_set(images: ImageSet) -> dict[str, Any]:
    """Path, format, number and size of a set of images, and how it was made if that is known."""
    size = images.image_size and list(images.image_size)
    described = dict(path=str(images.path), format=images.format, num_images=len(images) or None,
                     image_size=size)
    if getattr(images, 'statistics', None) is not None:
        described['statistics'] = 'mu and sigma of the file'
    settings = images.path / SETTINGS
    made = read_reference_record(images.path)
    if made is None and settings.is_file():
        made = read_json(settings, object)
    return described if made is None else dict(described, made=made)


def quality_record(scores: Mapping[str, float], extract: MetricFeatures,
                   generated: Mapping[str, Any], reference: Mapping[str, Any] | None
                   ) -> dict[str, Any]:
    """Put scores and their circumstances together, ready for JSON.

    Args:
        scores: What ``score`` returned.
        extract: The networks.
        generated: What the scored images are, as :func:`describe_set`.
        reference: The same of the reference set; None without one.
    """
    networks = extract.describe()
    return dict(
        scores=dict(scores),
        notes=_notes(networks, generated, reference),
        generated=dict(generated),
        reference=reference and dict(reference),
        networks=networks,
        resize='none before the networks; Inception and VGG-16 resize as TensorFlow 1 does, '
               'bilinear',
        inception_score=dict(splits=IS_SPLITS, shuffle_seed=IS_SEED),
        versions=library_versions(),
        time=datetime.now(timezone.utc).isoformat(timespec='seconds'))


def library_versions() -> dict[str, str]:
    """Versions of Python, this package, and what computes the metrics."""
    versions = {'python': sys.version.split()[0], 'addp_mm': __version__}
    return versions | {name: metadata.version(name) for name in _PACKAGES}


def _notes(networks: Mapping[str, Any], generated: Mapping[str, Any],
           reference: Mapping[str, Any] | None) -> list[str]:
    """Why the scores must not be compared with published ones."""
    notes = []
    others = sorted({d['name'] for d in networks.values() if not d['standard']})
    if others:
        notes.append(f'Not the network and weights of published numbers: {", ".join(others)}. The '
                     'scores are like FID, but comparable only with those of the same weights.')
    counts = [part['num_images'] for part in (generated, reference)
              if part is not None and part['num_images'] is not None]
    if min(counts) < USUAL_COUNT:
        noun = 'images of each set' if len(set(counts)) == 1 else 'images of the smaller set'
        notes.append(f'{min(counts)} {noun}: published numbers are of {USUAL_COUNT}. FID grows '
                     'and the Inception Score falls with fewer.')
    if reference is not None and reference['image_size'] and (
            generated['image_size'] != reference['image_size']):
        notes.append(f'The images have {generated["image_size"]} pixels, the reference has '
                     f'{reference["image_size"]}: part of the distance is the size.')
    return notes
