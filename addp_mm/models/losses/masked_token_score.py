"""How well masked tokens of held-out images are predicted."""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...diffusion import NoisySample

VAL_RATIOS = (0.55, 0.7, 0.8, 0.9, 1.0)


def val_generator(ratio: float, device: torch.device) -> torch.Generator:
    """A generator that gives the same masks for a ratio in every validation."""
    return torch.Generator(device).manual_seed(round(1000 * ratio))


def score_masked_tokens(token_logits: Tensor, noisy_sample: NoisySample, ratio: float) -> dict:
    """Cross-entropy of the true ids at the masked places.

    Args:
        token_logits: (N, K, h, w), over the codes only.
        noisy_sample: Ids and mask.
        ratio: The mask ratio, handed on.

    Returns:
        ``ratio``, the summed ``loss`` in nats, the ``count`` of masked tokens, and the
        ``token_ids`` (N, h, w) on the CPU.
    """
    ids = noisy_sample.token_ids
    losses = F.cross_entropy(token_logits.float(), ids, reduction='none')[noisy_sample.mask]
    return dict(ratio=ratio, loss=losses.sum().item(), count=losses.numel(), token_ids=ids.cpu())
