"""Cross-entropy over tokens on the masked places: as a loss, and as a score of held-out images.

Shapes: N images, V rows of the vocabulary, K codes (K <= V), (h, w) token grid.
"""
from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...diffusion import NoisySample
from ...registry import MODELS

TARGETS = ('soft', 'hard', 'both')


@MODELS.register_module()
class MaskedTokenLoss(nn.Module):
    """Label-smoothed cross-entropy, averaged over the masked places of the batch (paper Eq. 6).

    Args:
        target: 'soft' learns the token predictor's distribution q(z_{t-1} | z_t), 'hard' the ids
            z_0, 'both' the sum of the two losses (paper Tab. 6).
        label_smoothing: Share of the target spread evenly over all V rows (paper Tab. 14: 0.1).

    Raises:
        ValueError: If the target is unknown or the smoothing outside of [0, 1).
    """

    def __init__(self, target: str = 'soft', label_smoothing: float = 0.1) -> None:
        super().__init__()
        if target not in TARGETS:
            raise ValueError(f'target must be one of {TARGETS}, got {target!r}.')
        if not 0 <= label_smoothing < 1:
            raise ValueError(f'label_smoothing must lie in [0, 1), got {label_smoothing}.')
        self.target = target
        self.label_smoothing = label_smoothing

    def forward(self, token_logits: Tensor, noisy_sample: NoisySample) -> Tensor:
        """Compute the loss.

        Args:
            token_logits: (N, V, h, w), or (N, V, M) for M places of each image.
            noisy_sample: Ids, mask and target distribution (N, K, h, w), or (N, K, M).

        Returns:
            A scalar, in nats per masked token.

        Raises:
            ValueError: If the target is a distribution and the sample has none.
        """
        # The vocabulary last, as the projection leaves it in memory.
        log_probs = token_logits.movedim(1, -1).float().log_softmax(dim=-1)
        smooth = -log_probs.mean(dim=-1)                                      # (N, h, w)
        mask = noisy_sample.mask
        total = log_probs.new_zeros(())
        for nll in self._negative_log_likelihoods(log_probs, noisy_sample):
            loss = (1 - self.label_smoothing) * nll + self.label_smoothing * smooth
            total = total + (loss * mask).sum() / mask.sum()
        return total

    def _negative_log_likelihoods(self, log_probs: Tensor, sample: NoisySample) -> list[Tensor]:
        terms = []
        if self.target in ('soft', 'both'):
            if sample.target_probs is None:
                raise ValueError(f'target={self.target!r} needs the distribution of a token '
                                 "predictor, which this model does not have: set target='hard'.")
            target = sample.target_probs.movedim(1, -1)
            terms.append(-(target * log_probs[..., :target.shape[-1]]).sum(dim=-1))
        if self.target in ('hard', 'both'):
            terms.append(-log_probs.gather(-1, sample.token_ids[..., None]).squeeze(-1))
        return terms


VAL_RATIOS = (0.55, 0.7, 0.8, 0.9, 1.0)
_SPREAD = 0x9E3779B1            # odd, so that no two images of a ratio get one seed


def val_generators(ratio: float, data_samples: Sequence | None,
                   num_images: int) -> list[torch.Generator]:
    """Generators that give an image the same masks in every validation, batch and process.

    Args:
        ratio: Mask ratio; each has masks of its own.
        data_samples: Of each image, with its ``sample_idx`` in the data set; without it, images
            are told apart by their place in the batch.
        num_images: Number N of images.

    Returns:
        One for each image, on the CPU.
    """
    indices = [getattr(sample, 'sample_idx', place)
               for place, sample in enumerate(data_samples or [None] * num_images)]
    seeds = [(round(1000 * ratio) + _SPREAD * int(index)) % 2**32 for index in indices]
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def score_masked_tokens(token_logits: Tensor, noisy_sample: NoisySample, ratio: float) -> dict:
    """Cross-entropy of the true ids at the masked places.

    Args:
        token_logits: (N, K, h, w), over the codes only.
        noisy_sample: Ids and mask.
        ratio: The mask ratio, handed on.

    Returns:
        ``ratio``, for each image the summed ``loss`` in nats and the ``count`` of masked tokens,
        both (N, ), and the ``token_ids`` (N, h, w), on the CPU.
    """
    ids, mask = noisy_sample.token_ids, noisy_sample.mask
    losses = F.cross_entropy(token_logits.float(), ids, reduction='none') * mask
    return dict(ratio=ratio, loss=losses.double().flatten(1).sum(dim=1).cpu(),
                count=mask.flatten(1).sum(dim=1).cpu(), token_ids=ids.cpu())
