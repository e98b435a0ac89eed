"""Accuracy of a classifier among some of its classes, and the mean corruption error.

Shapes: N images, C classes of the classifier.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..name_lists import listed
from ..registry import METRICS

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
    missing, unknown = ([f'{corruption}/{severity}' for corruption, severity in sorted(pairs)]
                        for pairs in (wanted - top1.keys(), top1.keys() - wanted))
    if missing or unknown:
        raise ValueError(
            f'The mean corruption error needs {len(CORRUPTIONS)} corruptions at '
            f'{len(SEVERITIES)} severities, got {len(top1)} accuracies: {len(missing)} missing '
            f'({listed(missing)}), {len(unknown)} unknown ({listed(unknown)}).')
    return CorruptionError({
        corruption: 100 * fmean(100 - top1[corruption, severity] for severity in SEVERITIES)
        / alexnet_error
        for corruption, alexnet_error in ALEXNET_ERRORS.items()
    })


@METRICS.register_module()
class ClassSubsetAccuracy(BaseMetric):
    """Top-1 accuracy in percent, where only some classes can be predicted.

    The scores are restricted to the columns of these classes before the largest is taken, as
    ImageNet-A and ImageNet-R are evaluated. With all classes it is the usual top-1 accuracy.

    Args:
        class_indices: Columns of the classes; None: what the data set's metainfo
            ``class_indices`` names, as ``ClassSubsetFolder`` has it. Labels of images are columns
            too.
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: Stands before the result's name.
    """

    default_prefix = 'accuracy'

    def __init__(self, class_indices: Sequence[int] | None = None, collect_device: str = 'cpu',
                 prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.class_indices = class_indices

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep whether each image of a batch is right.

        Args:
            data_batch: Not read.
            data_samples: For each image ``pred_score`` (C,) and ``gt_label`` (1,).

        Raises:
            ValueError: If there are fewer scores than classes named, or no classes are named.
        """
        scores = torch.stack([sample['pred_score'] for sample in data_samples])
        labels = torch.cat([sample['gt_label'] for sample in data_samples])
        self.results.extend(subset_hits(scores, labels, self._columns()).tolist())

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        """Average over all images."""
        return dict(top1=100 * sum(results) / len(results))

    def _columns(self) -> Sequence[int]:
        if self.class_indices is not None:
            return self.class_indices
        columns = (self.dataset_meta or {}).get('class_indices')
        if columns is None:
            raise ValueError('ClassSubsetAccuracy does not know the classes: set class_indices, or '
                             'take a ClassSubsetFolder as the data set.')
        return columns


def subset_hits(scores: Tensor, labels: Tensor, class_indices: Sequence[int]) -> Tensor:
    """Whether the largest score among some classes is that of the label.

    Args:
        scores: (N, C) logits or probabilities.
        labels: (N,) in [0, C).
        class_indices: Columns of the classes.

    Returns:
        (N,) bool, on the CPU.

    Raises:
        ValueError: If a column or label does not exist, or a label is of another class.
    """
    scores, labels = scores.detach().cpu(), labels.cpu()
    columns = torch.as_tensor(sorted(class_indices))
    num_classes = scores.shape[1]
    if len(columns) == 0 or columns[0] < 0 or columns[-1] >= num_classes:
        raise ValueError(
            f'The classes have the columns {columns[:1].tolist()} to {columns[-1:].tolist()}, but '
            f'the classifier gives {num_classes} scores: expected one for each class of the set '
            'that the subset was taken from, 1000 for ImageNet-A and -R.')
    foreign = labels[~torch.isin(labels, columns)]
    if len(foreign):
        raise ValueError(f'{len(foreign)} of {len(labels)} labels are of none of the '
                         f'{len(columns)} classes, the first is {int(foreign[0])}. Labels must be '
                         f'places among all {num_classes} classes, not among those of the subset.')
    return columns[scores[:, columns].argmax(1)] == labels
