"""Losses that tie encoder outputs and codes together.

Shapes: N images, K codes, C code dims, (h, w) token grid, P = N * h * w places.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...registry import MODELS

_EPS = 1e-5


@MODELS.register_module()
class VQLoss(nn.Module):
    """Codebook, commitment and, if wanted, entropy loss (MaskGIT config).

    The codebook loss moves the codes to the encoder outputs, the commitment loss the encoder
    outputs to the codes. (The released taming-transformers trainers weigh them the other way
    round by default.)

    Args:
        codebook_weight: Weight of the codebook loss (MaskGIT: 1). Left out where the codes take no
            gradient, as under moving averages.
        commitment_weight: Weight of the commitment loss (MaskGIT: 0.25).
        entropy_weight: Weight of the entropy loss, which asks for certain choices at each place
            and an even use over all (MaskGIT: 0.1). 0 leaves it out.
        entropy_temperature: Temperature of the soft choice in the entropy loss (MaskGIT: 0.01).

    Raises:
        ValueError: If a weight is negative or the temperature not positive.
    """

    def __init__(self, codebook_weight: float = 1., commitment_weight: float = 0.25,
                 entropy_weight: float = 0., entropy_temperature: float = 0.01) -> None:
        super().__init__()
        weights = codebook_weight, commitment_weight, entropy_weight
        if min(weights) < 0 or entropy_temperature <= 0:
            raise ValueError('VQLoss needs weights of at least 0 and a temperature above 0, got '
                             f'{weights} and {entropy_temperature}.')
        self.codebook_weight = codebook_weight
        self.commitment_weight = commitment_weight
        self.entropy_weight = entropy_weight
        self.entropy_temperature = entropy_temperature

    def forward(self, latents: Tensor, codes: Tensor, codebook: nn.Module) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            latents: Encoder outputs (N, C, h, w).
            codes: Their nearest codes (N, C, h, w).
            codebook: The ``Codebook`` they are from; the entropy loss asks it for distances.

        Returns:
            ``loss_commitment`` and, where they apply, ``loss_codebook`` and ``loss_entropy``:
            weighted scalars.
        """
        latents, codes = latents.float(), codes.float()
        commitment = F.mse_loss(latents, codes.detach())
        losses = dict(loss_commitment=self.commitment_weight * commitment)
        if codes.requires_grad:
            losses['loss_codebook'] = self.codebook_weight * F.mse_loss(codes, latents.detach())
        if self.entropy_weight:
            entropy = entropy_loss(codebook.distances(latents), self.entropy_temperature)
            losses['loss_entropy'] = self.entropy_weight * entropy
        return losses


def entropy_loss(distances: Tensor, temperature: float) -> Tensor:
    """Mean entropy of the soft choices less the entropy of their mean.

    Args:
        distances: (P, K), squared; a constant per row does not matter.
        temperature: Divides the distances.

    Returns:
        A scalar in nats, at least -log K.
    """
    probs = (-distances / temperature).softmax(dim=1)
    return _entropy(probs).mean() - _entropy(probs.mean(dim=0))


def _entropy(probs: Tensor) -> Tensor:
    return -(probs * torch.log(probs + _EPS)).sum(dim=-1)
