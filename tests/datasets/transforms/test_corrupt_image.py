"""CorruptImage: the package's corruptions, with a seed for each image."""
from __future__ import annotations

import sys

import numpy as np
import pytest

from addp_mm.evaluation.class_subset_accuracy import CORRUPTIONS
from addp_mm.registry import TRANSFORMS

imagecorruptions = pytest.importorskip('imagecorruptions',
                                       reason='imagecorruptions-imaug is not installed')


def build(corruption: str, severity: int = 3, **settings):
    return TRANSFORMS.build(dict(type='CorruptImage', corruption=corruption, severity=severity,
                                 **settings))


def image(seed: int = 0) -> np.ndarray:
    """Smooth 64 x 64 pixels, no channel like another."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3))
    return np.kron(coarse, np.ones((16, 16, 1))).astype(np.uint8)


def corrupt(transform, path: str = 'val/n01440764/1.JPEG', seed: int = 0) -> np.ndarray:
    return transform(dict(img=image(seed), img_path=path))['img']


def test_the_15_corruptions_are_the_packages():
    assert sorted(imagecorruptions.get_corruption_names('common')) == sorted(CORRUPTIONS)


@pytest.mark.parametrize('corruption', CORRUPTIONS)
def test_depends_on_nothing_but_seed_and_names(corruption: str):
    transform = build(corruption)
    np.random.seed(1)
    once = corrupt(transform)
    next_draw = np.random.rand()
    np.random.seed(1)
    assert np.random.rand() == next_draw, 'the global generator was changed'
    corrupt(transform, 'val/n01440764/2.JPEG')
    assert np.array_equal(corrupt(transform, '/elsewhere/n01440764/1.JPEG'), once)
    assert once.shape == (64, 64, 3) and once.dtype == np.uint8
    assert not np.array_equal(once, image())


@pytest.mark.parametrize('corruption', ['gaussian_noise', 'impulse_noise', 'glass_blur', 'fog'])
def test_each_image_seed_and_folder_has_its_own_noise(corruption: str):
    transform = build(corruption)
    once = corrupt(transform)
    assert not np.array_equal(corrupt(transform, 'val/n01440764/2.JPEG'), once)
    assert not np.array_equal(corrupt(transform, 'val/n01443537/1.JPEG'), once)
    assert not np.array_equal(corrupt(build(corruption, seed=1)), once)


def test_channels_are_bgr():
    """Frost adds a bluish picture: the result differs where the channels are swapped."""
    transform = build('frost', jpeg_quality=None)
    np.random.seed(transform._seed_of('val/n01440764/1.JPEG'))
    expected = imagecorruptions.corrupt(image()[..., ::-1].copy(), 3, 'frost')[..., ::-1]
    assert np.array_equal(corrupt(transform), expected)


def test_severities_and_jpeg():
    def distance(severity: int, quality: int | None) -> float:
        made = corrupt(build('contrast', severity, jpeg_quality=quality))
        return float(np.abs(made.astype(float) - image()).mean())

    assert distance(1, None) < distance(3, None) < distance(5, None)
    assert distance(1, None) != distance(1, 85) == distance(1, 85) != distance(1, 10)


def test_bad_settings_and_images():
    with pytest.raises(ValueError, match="'mist', expected one of .*fog"):
        build('mist')
    for severity in (0, 6, 2.5):
        with pytest.raises(ValueError, match='from 1 to 5'):
            build('fog', severity)
    for bad in (image()[:31], image().astype(np.float32), image()[..., 0]):
        with pytest.raises(ValueError, match='at least 32 x 32 pixels, got .* for a.png'):
            build('fog')(dict(img=bad, img_path='a.png'))


def test_package_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, 'imagecorruptions', None)
    with pytest.raises(ImportError, match='pip install imagecorruptions-imaug'):
        build('fog')
