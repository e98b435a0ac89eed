"""Reference files of ADM: their mean and covariance are what FID rests on."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')

from addp_mm.evaluation.generation_scores import reference_features, score
from addp_mm.evaluation.image_set import open_image_set
from addp_mm.evaluation.quality_record import describe_set
from tests.helpers.tiny_features import random_images

DIMS = 4
FEATURES = torch.randn(30, DIMS, generator=torch.Generator().manual_seed(0)).double()
STATISTICS = dict(mu=FEATURES.mean(dim=0).numpy(), sigma=np.cov(FEATURES.numpy(), rowvar=False))


class Extractor:
    """Stands for Inception, whose weights are not at hand: its features differ from these."""

    def __init__(self, *metrics: str, standard: bool = True) -> None:
        self.metrics = metrics
        self.standard = standard

    def describe(self) -> dict[str, dict]:
        return {m: dict(name='inception-v3-compat', standard=self.standard) for m in self.metrics}

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        values = images.flatten(1)[:, :DIMS].float()
        return {metric: values for metric in self.metrics}


@pytest.fixture
def alone(tmp_path: Path) -> Path:
    np.savez(tmp_path / 'statistics.npz', **STATISTICS)
    return tmp_path / 'statistics.npz'


@pytest.fixture
def both(tmp_path: Path) -> Path:
    np.savez(tmp_path / 'both.npz', arr_0=random_images(12, seed=1), **STATISTICS)
    return tmp_path / 'both.npz'


@pytest.mark.parametrize('kind', ['alone', 'both'])
def test_stored_statistics_are_used(kind: str, request: pytest.FixtureRequest) -> None:
    images = open_image_set(request.getfixturevalue(kind))
    reference = reference_features(images, Extractor('fid'))
    assert torch.equal(reference.mean, torch.from_numpy(STATISTICS['mu']))
    assert score(dict(fid=FEATURES.float()), reference)['fid'] == pytest.approx(0, abs=1e-4)
    assert describe_set(images)['statistics'] == 'mu and sigma of the file'


def test_another_network_measures_the_images(both: Path, alone: Path) -> None:
    extract = Extractor('fid', standard=False)
    reference = reference_features(open_image_set(both), extract)
    assert reference.num_images == 12 and not torch.equal(
        reference.mean.double(), torch.from_numpy(STATISTICS['mu']))
    with pytest.raises(ValueError, match='FID of another network.* need images'):
        reference_features(open_image_set(alone), extract)


def test_precision_and_recall_need_images(both: Path, alone: Path) -> None:
    assert reference_features(open_image_set(both), Extractor('fid', 'prc')).prc.shape == (12, DIMS)
    with pytest.raises(ValueError, match='precision and recall need images'):
        reference_features(open_image_set(alone), Extractor('fid', 'prc'))


def test_statistics_must_fit_each_other(tmp_path: Path) -> None:
    np.savez(tmp_path / 'bad.npz', mu=np.zeros(3), sigma=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r'finite mu \(D, \) and sigma \(D, D\)'):
        open_image_set(tmp_path / 'bad.npz')
