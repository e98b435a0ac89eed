"""FID and its relatives against torch-fidelity's command line and against their formulas."""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from torch_fidelity import fidelity
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from addp_mm.evaluation.feature_extractor import INCEPTION, VGG, FeatureExtractor, MetricFeatures
from addp_mm.evaluation.generation_scores import (
    ReferenceFeatures,
    check_counts,
    extract_features,
    reference_features,
    score,
)
from addp_mm.evaluation.image_set import open_image_set
from tests.helpers.tiny_features import NAME, TinyFeatures, random_images, write_png

TINY = FeatureExtractor(NAME)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Generated images and a reference of another number, one of them in both."""
    reference = random_images(30, seed=1)
    generated = np.concatenate([random_images(24, seed=2) // 2, reference[:1]])
    return (write_png(tmp_path / 'generated', generated),
            write_png(tmp_path / 'reference', reference))


def scores_of(folders: tuple[Path, Path], extract: MetricFeatures) -> dict[str, float]:
    generated, reference = map(open_image_set, folders)
    return score(extract_features(generated, extract, batch_size=7),
                 reference_features(reference, extract))


def test_equals_the_command_line_of_torch_fidelity(
        folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr(sys, 'argv', [
        'fidelity', '--input1', str(folders[0]), '--input2', str(folders[1]), '--isc', '--fid',
        '--prc', '--feature-extractor', NAME, '--cpu', '--no-cache', '--json', '--silent',
        '--save-cpu-ram'])
    fidelity.main()
    theirs = json.loads(capsys.readouterr().out)
    ours = scores_of(folders, MetricFeatures(extractor=TINY))
    assert ours == pytest.approx(dict(
        fid=theirs['frechet_inception_distance'], inception_score=theirs['inception_score_mean'],
        inception_score_std=theirs['inception_score_std'], precision=theirs['precision'],
        recall=theirs['recall']), rel=1e-6)
    assert 0 < ours['precision'] < 1 and ours['recall'] != ours['precision']


def test_equals_the_closed_formulas(folders: tuple[Path, Path]):
    images = [torch.cat(list(open_image_set(folder).batches(50))) for folder in folders]
    x, y = (TinyFeatures(NAME, ['colours'])(part)[0].double().detach().numpy() for part in images)
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    fid = (((x.mean(0) - y.mean(0))**2).sum()
           + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root))

    def covered(points: np.ndarray, others: np.ndarray) -> float:
        """Share of points within the distance of some other point to its third neighbour."""
        radii = np.sort(np.linalg.norm(others[:, None] - others, axis=2))[:, 3]
        return (np.linalg.norm(points[:, None] - others, axis=2) <= radii).any(axis=1).mean()

    ours = scores_of(folders, MetricFeatures(('fid', 'prc'), TINY))
    assert ours == pytest.approx(
        dict(fid=fid, precision=covered(x, y), recall=covered(y, x)), rel=1e-4)


def test_equal_sets(folders: tuple[Path, Path]):
    scores = scores_of((folders[1], folders[1]), MetricFeatures(('fid', 'prc'), TINY))
    assert scores == pytest.approx(dict(fid=0, precision=1, recall=1), abs=0.05)


def test_the_cache_is_read_and_follows_the_files(folders: tuple[Path, Path], tmp_path: Path):
    extract = MetricFeatures(extractor=TINY)
    counted = []

    def run(extract: MetricFeatures) -> ReferenceFeatures:
        counted.append(0)

        def count(done: int, total: int) -> None:
            assert total == 30
            counted[-1] = done

        return reference_features(open_image_set(folders[1]), extract, tmp_path / 'cache',
                                  on_images=count)

    first, second = run(extract), run(extract)
    for name in ('num_images', 'mean', 'covariance', 'prc'):
        assert np.array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name) is not None
    run(MetricFeatures(('fid', ), TINY))                # other features
    (folders[1] / '000003.png').write_bytes((folders[1] / '000004.png').read_bytes())
    changed = run(extract)
    assert counted == [30, 0, 30, 30]
    assert not torch.equal(changed.prc, first.prc)


@pytest.fixture(scope='module')
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file of Inception with random weights that keep its features apart."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = sys.modules[FeatureExtractorInceptionV3.__module__]
        patch.setattr(module, 'load_state_dict_from_url', lambda *_, **__: {})
        patch.setattr(FeatureExtractorInceptionV3, 'load_state_dict', lambda *_: None)
        network = FeatureExtractorInceptionV3(INCEPTION, ['2048'])
    for name, weight in network.state_dict().items():
        if name.endswith('conv.weight'):
            torch.nn.init.kaiming_normal_(weight)
    path = tmp_path_factory.mktemp('weights') / 'inception.pth'
    torch.save(network.state_dict(), path)
    return path


def test_inception_from_a_file(inception: Path, monkeypatch: pytest.MonkeyPatch):
    extract = MetricFeatures(('fid', 'is'), FeatureExtractor(weights=str(inception)))
    images = torch.from_numpy(random_images(2, seed=1)).permute(0, 3, 1, 2)
    features = extract(images)
    assert features['fid'].shape == (2, 2048) and features['is'].shape == (2, 1008)
    assert features['fid'].std(dim=0).mean() > 1e-3
    described = extract.describe()
    assert described['fid']['layer'] == '2048' and described['is']['layer'] == 'logits_unbiased'
    assert not described['fid']['standard'] and len(described['fid']['weights_sha256']) == 64
    published = inception.with_name('pt_inception-2015-12-05-6726825d.pth')
    published.symlink_to(inception)
    assert FeatureExtractor(weights=str(published)).is_standard
    assert not FeatureExtractor(VGG, str(published)).is_standard
    monkeypatch.setenv('ADDP_INCEPTION_WEIGHTS', str(inception))
    assert FeatureExtractor().path == inception


def test_precision_and_recall_take_vgg_beside_inception(inception: Path, tmp_path: Path):
    file = FeatureExtractor(weights=str(inception))
    with pytest.raises(FileNotFoundError, match='vgg.pth'):
        MetricFeatures(
            extractor=file, prc_extractor=FeatureExtractor(VGG, str(tmp_path / 'vgg.pth')))
    extract = MetricFeatures(('fid', 'prc'), file, prc_extractor=file)
    assert extract.describe()['prc'] == extract.describe()['fid']


def test_missing_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.delenv('ADDP_INCEPTION_WEIGHTS', raising=False)
    monkeypatch.setenv('https_proxy', 'http://127.0.0.1:9')     # no network
    with pytest.raises(FileNotFoundError) as caught:
        MetricFeatures(('fid', ))
    for part in ('https://github.com/toshas', 'ADDP_INCEPTION_WEIGHTS', str(tmp_path)):
        assert part in str(caught.value)


def test_wrong_weights(tmp_path: Path):
    torch.save(dict(fc=torch.zeros(2)), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match=r'other\.pth does not hold the weights of inception'):
        MetricFeatures(('fid', ), FeatureExtractor(weights=str(tmp_path / 'other.pth')))
    torch.save(torch.nn.Linear(2, 2), tmp_path / 'code.pth')
    with pytest.raises(ValueError, match='ADDP_TRUST_CHECKPOINTS'):
        MetricFeatures(('fid', ), FeatureExtractor(weights=str(tmp_path / 'code.pth')))


def test_unknown_names():
    with pytest.raises(ValueError, match="'kid'"):
        MetricFeatures(('kid', ), TINY)
    with pytest.raises(ValueError, match="tiny-features.*got 'nonsense'"):
        MetricFeatures(('fid', ), FeatureExtractor('nonsense'))


def test_too_few_and_broken_features():
    with pytest.raises(ValueError, match="'is' needs at least 10 images.*got 9"):
        score({'is': torch.rand(9, 4)})
    reference = ReferenceFeatures(1, torch.rand(4), torch.rand(4, 4))
    with pytest.raises(ValueError, match="'fid' needs at least 2 images.*got 1"):
        score({'fid': torch.rand(5, 4)}, reference)
    check_counts(('fid', 'is', 'prc'), 10, 4)
    check_counts(('fid', 'prc'), 4)
    with pytest.raises(ValueError, match="'prc' needs at least 4 images in each set, got 3"):
        check_counts(('fid', 'is', 'prc'), 10, 3)
    with pytest.raises(ValueError, match='name one'):
        score({'fid': torch.rand(5, 4)})
    with pytest.raises(ValueError, match='not finite'):
        score({'is': torch.full((20, 4), torch.nan)})
    assert score({'is': torch.zeros(20, 4)})['inception_score'] == pytest.approx(1)
