"""Cross-entropy of masked tokens on held-out images, beside the entropy of the tokens."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from ..registry import METRICS


@METRICS.register_module()
class MaskedTokenCrossEntropy(BaseMetric):
    """How well a model predicts masked tokens, per mask ratio, in nats per token.

    ``marginal_entropy`` is the entropy of the held-out tokens' histogram: what the best prediction
    that reads nothing would reach. A model that has learned anything stays below it.

    Args:
        collect_device: Where the results of several processes are gathered, 'cpu' or 'gpu'.
        prefix: Prefix of the metric names.
    """

    default_prefix = 'token'

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Take the scores of one batch.

        Args:
            data_batch: Not read.
            data_samples: One dict per mask ratio, as ``score_masked_tokens`` returns them.
        """
        ratios = [score['ratio'] for score in data_samples]
        # A result for each image: mmengine drops those that pad the share of a process.
        for i, token_ids in enumerate(data_samples[0]['token_ids']):
            self.results.append(dict(
                loss={r: float(s['loss'][i]) for r, s in zip(ratios, data_samples, strict=True)},
                count={r: int(s['count'][i]) for r, s in zip(ratios, data_samples, strict=True)},
                histogram=torch.bincount(token_ids.flatten())))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Summarise all images.

        Args:
            results: What :meth:`process` kept, of all processes.

        Returns:
            ``cross_entropy_<ratio>`` for each ratio, their mean ``cross_entropy`` and
            ``marginal_entropy``.
        """
        losses: dict[float, float] = defaultdict(float)
        counts: dict[float, int] = defaultdict(int)
        for result in results:
            for ratio, loss in result['loss'].items():
                losses[ratio] += loss
                counts[ratio] += result['count'][ratio]
        by_ratio = {ratio: losses[ratio] / counts[ratio] for ratio in sorted(losses)}
        metrics = {f'cross_entropy_{ratio:g}': value for ratio, value in by_ratio.items()}
        metrics['cross_entropy'] = sum(by_ratio.values()) / len(by_ratio)
        metrics['marginal_entropy'] = _entropy([r['histogram'] for r in results])
        return metrics


def _entropy(histograms: list[torch.Tensor]) -> float:
    total = torch.zeros(max(map(len, histograms)), dtype=torch.float64)
    for histogram in histograms:
        total[:len(histogram)] += histogram
    return float(torch.distributions.Categorical(total / total.sum()).entropy())
