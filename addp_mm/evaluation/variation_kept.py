"""How much of what differs within an image survives the tokenizer.

Shapes: images (N, 3, H, W), in [0, 1].
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from ..registry import METRICS

# An image of less variance shows one colour: rounding to 8 bits alone has a twelfth of a step's.
MIN_VARIANCE = 1 / 255**2


def variation_kept(reconstructions: Tensor, images: Tensor) -> Tensor:
    """The share of each image's variation that its reconstruction keeps.

    One less the squared error over the variance of the image around its own mean colour, which is
    known as R^2 or explained variance; an image painted in its mean colour gives 0. PSNR has no
    such zero: a black picture has 20 dB where the image is nearly black.

    Args:
        reconstructions: (N, 3, H, W), in [0, 1].
        images: The same shape and range.

    Returns:
        (N,) in [0, 1]; what is worse than the mean colour counts as 0, and an image of one colour,
        of which nothing can be kept, is nan.
    """
    images, reconstructions = images.double(), reconstructions.double()
    errors = (reconstructions - images).square().mean(dim=(1, 2, 3))
    variances = images.var(dim=(2, 3), correction=0).mean(dim=1)
    kept = (1 - errors / variances).clamp(min=0)
    return kept.where(variances > MIN_VARIANCE, torch.nan)


@METRICS.register_module()
class VariationKept(BaseMetric):
    """Share of the variation within images that reconstructions keep.

    The results are ``variation_kept``, the median over the images, ``variation_kept_p10``, which
    nine tenths of the images reach, and ``one_colour``, how many images were left out because they
    show one colour.

    Args:
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: Stands before the results' names.
    """

    default_prefix = 'reconstruction'

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Score a batch.

        Args:
            data_batch: Not read.
            data_samples: For each image ``image`` and ``reconstruction``, (3, H, W) in [0, 1].
        """
        images, reconstructions = (torch.stack([sample[key] for sample in data_samples])
                                   for key in ('image', 'reconstruction'))
        self.results.extend(variation_kept(reconstructions, images).tolist())

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Summarise the images; nan where all of them show one colour."""
        kept = np.array(results)
        varied = kept[~np.isnan(kept)]
        median, tenth = np.quantile(varied, (0.5, 0.1)) if len(varied) else (np.nan, np.nan)
        return dict(variation_kept=float(median), variation_kept_p10=float(tenth),
                    one_colour=float(len(kept) - len(varied)))
