"""The corruptions of ImageNet-C, made while images are loaded."""
from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from ...registry import TRANSFORMS

MIN_SIZE = 32
SEVERITIES = range(1, 6)
# These two have a seed of their own and do not read numpy's global state.
_OWN_SEED = ('impulse_noise', 'glass_blur')


@TRANSFORMS.register_module()
class CorruptImage(BaseTransform):
    """Corrupts an image as in ImageNet-C, by the package ``imagecorruptions-imaug``.

    Each image has its own noise, which depends on the seed, the corruption, the severity and the
    names of file and class folder only: not on the order, nor on other draws. Published mean
    corruption errors are of the official JPEG files of ImageNet-C; these images are similar, not
    the same. Those were made of the middle 224 pixels after ``ResizeEdge(256)`` (Hendrycks and
    Dietterich 2019), so such a resize and crop belong before this transform.

    Args:
        corruption: One of the 15 of ImageNet-C, such as 'fog', or of the 4 others that the package
            knows.
        severity: From 1, the weakest, to 5.
        seed: Seed of the noise.
        jpeg_quality: Quality at which the result goes through JPEG, 85 as the official files; None
            leaves that out.

    Raises:
        ImportError: If the package is not installed.
        ValueError: If corruption or severity are unknown.
    """

    def __init__(self, corruption: str, severity: int, seed: int = 0,
                 jpeg_quality: int | None = 85) -> None:
        names = _package().get_corruption_names('all')
        if corruption not in names:
            raise ValueError(f'Unknown corruption {corruption!r}, expected one of {names}.')
        if severity not in SEVERITIES:
            raise ValueError(f'severity must be an integer from 1 to 5, got {severity!r}.')
        self.corruption = corruption
        self.severity = severity
        self.seed = seed
        self.jpeg_quality = jpeg_quality

    def transform(self, results: dict) -> dict:
        """Corrupt an image.

        Args:
            results: ``img`` (H, W, 3) uint8 BGR, at least 32 pixels high and wide, and
                ``img_path``.

        Returns:
            ``results`` with the corrupted ``img``.

        Raises:
            ValueError: If the image is too small or not 8-bit colour.
        """
        image = results['img']
        if image.dtype != np.uint8 or image.ndim != 3 or min(image.shape[:2]) < MIN_SIZE:
            raise ValueError(
                f'Expected 8-bit colour images of at least {MIN_SIZE} x {MIN_SIZE} pixels, got '
                f'{image.dtype} {image.shape} for {results["img_path"]}: resize the images '
                'before CorruptImage.')
        seed = self._seed_of(results['img_path'])
        own_seed = dict(seed=seed) if self.corruption in _OWN_SEED else {}
        with _numpy_seed(seed):
            corrupted = _package().corrupt(
                np.ascontiguousarray(image[..., ::-1]), self.severity, self.corruption, **own_seed)
        results['img'] = np.ascontiguousarray(self._through_jpeg(corrupted)[..., ::-1])
        return results

    def _seed_of(self, path: str) -> int:
        name = '/'.join(Path(path).parts[-2:])
        source = f'{self.seed} {self.corruption} {self.severity} {name}'
        return zlib.crc32(source.encode())

    def _through_jpeg(self, image: np.ndarray) -> np.ndarray:
        if self.jpeg_quality is None:
            return image
        file = io.BytesIO()
        Image.fromarray(image).save(file, 'JPEG', quality=self.jpeg_quality, optimize=True)
        return np.asarray(Image.open(file))


def _package() -> Any:
    try:
        import imagecorruptions  # takes a second, and few evaluations need it
    except ImportError as error:
        raise ImportError(
            'CorruptImage needs the package imagecorruptions-imaug: pip install '
            'imagecorruptions-imaug. Or take the official ImageNet-C files, which published '
            'numbers are of.') from error
    return imagecorruptions


@contextlib.contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    """Seed numpy's global generator while a ``with`` lasts, then set it back."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
