"""How close reconstructions come to held-out images.

Shapes: images (3, H, W) or (N, 3, H, W), in [0, 1].
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from ..registry import METRICS

MAX_PSNR = 100.
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5


def psnr(images: Tensor, references: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image.

    Args:
        images: (N, 3, H, W), in [0, 1].
        references: The same shape and range.

    Returns:
        (N,) in dB; 100 at most, where equal images would give infinity.
    """
    ratios = peak_signal_noise_ratio(images.double(), references.double(), data_range=1.,
                                     reduction='none', dim=(1, 2, 3))
    return ratios.clamp(max=MAX_PSNR)


def ssim(images: Tensor, references: Tensor) -> Tensor:
    """Structural similarity of each image (Wang et al. 2004, Sec. III-C).

    A Gaussian window of 11 x 11 pixels, sigma 1.5, K1 = 0.01, K2 = 0.03, averaged over the places
    where the window lies inside the image and over the channels.

    Args:
        images: (N, 3, H, W), in [0, 1], at least 11 pixels wide and high.
        references: The same shape and range.

    Returns:
        (N,) in [-1, 1].

    Raises:
        ValueError: If the images are smaller than the window.
    """
    if min(images.shape[2:]) < SSIM_WINDOW:
        raise ValueError(f'SSIM needs images of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, '
                         f'got {tuple(images.shape[2:])}.')
    _, maps = structural_similarity_index_measure(
        images.double(), references.double(), sigma=SSIM_SIGMA, kernel_size=SSIM_WINDOW,
        data_range=1., reduction='none', return_full_image=True)            # (N, 3, H, W)
    edge = SSIM_WINDOW // 2         # there the window reaches into reflected pixels
    return maps[..., edge:-edge, edge:-edge].flatten(1).mean(dim=1)


@METRICS.register_module()
class ReconstructionQuality(BaseMetric):
    """PSNR in dB and SSIM, averaged over the images.

    The results are ``psnr``, ``ssim``, and ``psnr_min`` of the worst image.

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
        images = torch.stack([sample['image'] for sample in data_samples])
        reconstructions = torch.stack([sample['reconstruction'] for sample in data_samples])
        scores = torch.stack([psnr(reconstructions, images), ssim(reconstructions, images)], dim=1)
        self.results.extend(scores.tolist())

    def compute_metrics(self, results: list[list[float]]) -> dict[str, float]:
        """Average the scores of all images."""
        scores = torch.tensor(results)                                         # (images, 2)
        psnr_mean, ssim_mean = scores.mean(dim=0).tolist()
        return dict(psnr=psnr_mean, ssim=ssim_mean, psnr_min=float(scores[:, 0].min()))


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
