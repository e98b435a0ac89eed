"""How much of a codebook held-out images use."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from ..registry import METRICS


@METRICS.register_module()
class CodebookUsage(BaseMetric):
    """Perplexity, dead codes and share of the codes in use over all images.

    The results are ``perplexity`` in [1, K]: the exponential of the entropy of the codes' use;
    ``dead_codes``: how many of the K codes no image uses; ``in_use``: the share of the others, in
    percent.

    Args:
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: Stands before the results' names.
    """

    default_prefix = 'codebook'

    def __init__(self, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the tokens of a batch.

        Args:
            data_batch: Not read.
            data_samples: For each image ``token_ids`` (h, w) and ``num_codes``.
        """
        for sample in data_samples:
            token_ids = sample['token_ids'].flatten().to('cpu', torch.int32)
            self.results.append((token_ids, sample['num_codes']))

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Count the tokens of all images."""
        token_ids = torch.cat([ids for ids, _ in results])
        num_codes = results[0][1]
        counts = token_ids.bincount(minlength=num_codes)
        probs = counts.double() / counts.sum()
        perplexity = (-torch.special.xlogy(probs, probs).sum()).exp()
        dead = int((counts == 0).sum())
        return dict(perplexity=float(perplexity), dead_codes=float(dead),
                    in_use=100 * (1 - dead / num_codes))
