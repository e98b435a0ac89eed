"""The mean corruption error of ImageNet-C (Hendrycks and Dietterich 2019)."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

SEVERITIES = (1, 2, 3, 4, 5)
# Error of AlexNet on ImageNet-C, in percent, the mean over the severities: published by the
# authors of ImageNet-C.
ALEXNET_ERRORS = {
    'gaussian_noise': 88.6428, 'shot_noise': 89.4468, 'impulse_noise': 92.2640,
    'defocus_blur': 81.9880, 'glass_blur': 82.6268, 'motion_blur': 78.5948, 'zoom_blur': 79.8360,
    'snow': 86.6816, 'frost': 82.6572, 'fog': 81.9324, 'brightness': 56.4592,
    'contrast': 85.3204, 'elastic_transform': 64.6056, 'pixelate': 71.7840,
    'jpeg_compression': 60.6500,
}
CORRUPTIONS = tuple(ALEXNET_ERRORS)


@dataclass(frozen=True)
class CorruptionError:
    """Corruption errors in percent; 100 is AlexNet.

    Attributes:
        by_corruption: The error of each corruption, averaged over the severities, divided by that
            of AlexNet.
    """

    by_corruption: Mapping[str, float]

    @property
    def mean(self) -> float:
        """The mean corruption error, mCE."""
        return fmean(self.by_corruption.values())


def corruption_error(top1: Mapping[tuple[str, int], float]) -> CorruptionError:
    """Compute the corruption errors.

    Args:
        top1: Accuracy in percent for each of the 15 corruptions and 5 severities.

    Returns:
        The errors.

    Raises:
        ValueError: If a corruption or severity is missing, or one is unknown.
    """
    wanted = {(corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES}
    missing, unknown = sorted(wanted - top1.keys()), sorted(top1.keys() - wanted)
    if missing or unknown:
        raise ValueError(
            f'The mean corruption error needs {len(CORRUPTIONS)} corruptions at '
            f'{len(SEVERITIES)} severities, got {len(top1)} accuracies: {len(missing)} missing '
            f'{missing[:3]}, {len(unknown)} unknown {unknown[:3]}.')
    return CorruptionError({
        corruption: 100 * fmean(100 - top1[corruption, severity] for severity in SEVERITIES)
        / alexnet_error
        for corruption, alexnet_error in ALEXNET_ERRORS.items()
    })
