"""How much a masked autoencoder knows of the patches that it does not see."""
from __future__ import annotations

import math
from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from ..registry import METRICS


@METRICS.register_module()
class HiddenPixels(BaseMetric):
    """The share of what differs within hidden patches that is predicted.

    ``explained`` is one less the squared error over the squared deviation of the pixels from the
    mean colour of their patch, summed over all images: 1 is perfect, 0 is the mean colour of each
    patch, and what is worse than that is below 0. It is nan where no patch has two colours.

    Args:
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: Stands before the results' names.
    """

    default_prefix = 'hidden_pixels'

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: dict, data_samples: Sequence[dict[str, float]]) -> None:
        """Take the scores of a batch.

        Args:
            data_batch: Not read.
            data_samples: For each image its ``error`` and its ``deviation``.
        """
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Summarise the images."""
        deviation = sum(result['deviation'] for result in results)
        error = sum(result['error'] for result in results)
        return dict(explained=1 - error / deviation if deviation else math.nan)
