"""The game between a tokenizer and a discriminator.

Shapes: N images of H x W pixels, (a, b) patches that the discriminator judges.
"""
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ...registry import MODELS

_EPS = 1e-4


@MODELS.register_module()
class AdversarialLoss(nn.Module):
    """Hinge loss with an adaptive weight (VQGAN, arXiv 2012.09841, Eq. 7).

    The tokenizer's part is weighted by ``weight`` times the ratio of two gradient norms at the
    decoder's last convolution: that of the similarity losses (pixel and perceptual) over that of
    the adversarial loss. Gradients under float16 are too coarse for that; train in float32 or
    bfloat16.

    Args:
        weight: Weight of the tokenizer's part (taming: 0.8).
        start: Iteration from which the discriminator learns and is heeded (taming: 250001 for
            ImageNet, 10000 for own data). Before, its loss and gradients are zero.
        max_weight: Upper bound of the ratio (taming: 1e4).

    Raises:
        ValueError: If a number is negative.
    """

    def __init__(self, weight: float = 0.8, start: int = 10000, max_weight: float = 1e4) -> None:
        super().__init__()
        if min(weight, start, max_weight) < 0:
            raise ValueError('AdversarialLoss needs numbers of at least 0, got '
                             f'weight={weight}, start={start}, max_weight={max_weight}.')
        self.weight = weight
        self.start = start
        self.max_weight = max_weight

    def forward(self, discriminator: nn.Module, images: Tensor, reconstructions: Tensor,
                similarity_loss: Tensor, last_weight: Tensor, iteration: int) -> dict[str, Tensor]:
        """Compute both parts from one pass over the batch.

        ``loss_adversarial`` gives no gradient to the discriminator, ``loss_discriminator`` none to
        the tokenizer, so that their sum can be taken backward at once.

        Args:
            discriminator: Gives logits (N, 1, a, b), high for real images.
            images: (N, 3, H, W).
            reconstructions: (N, 3, H, W), with their graph.
            similarity_loss: Scalar, the other losses of the reconstructions.
            last_weight: Weight of the decoder's last convolution.
            iteration: Iterations done before this one.

        Returns:
            ``loss_adversarial``, ``loss_discriminator`` and ``adaptive_weight``.
        """
        if iteration < self.start:
            return _not_yet(discriminator, reconstructions)
        constants = {name: p.detach() for name, p in discriminator.named_parameters()}
        fake_logits = functional_call(discriminator, constants, (reconstructions, ))
        adversarial = -fake_logits.float().mean()
        ratio = adaptive_weight(similarity_loss, adversarial, last_weight, self.max_weight)
        return dict(
            loss_adversarial=self.weight * ratio * adversarial,
            loss_discriminator=hinge_loss(
                discriminator(images), discriminator(reconstructions.detach())),
            adaptive_weight=ratio)


def hinge_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """What the discriminator minimises: half the sum of both hinges' means, a scalar."""
    return 0.5 * (F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean())


def adaptive_weight(similarity_loss: Tensor, adversarial_loss: Tensor, last_weight: Tensor,
                    max_weight: float = 1e4) -> Tensor:
    """Ratio of the norms of two losses' gradients at one weight (taming's loss).

    Args:
        similarity_loss: Scalar; its gradient's norm is the numerator.
        adversarial_loss: Scalar; its gradient's norm, plus 1e-4, is the denominator.
        last_weight: The weight.
        max_weight: Upper bound.

    Returns:
        A scalar without a graph, in [0, ``max_weight``].
    """
    norms = [
        torch.autograd.grad(loss, last_weight, retain_graph=True)[0].float().norm()
        for loss in (similarity_loss, adversarial_loss)
    ]
    return (norms[0] / (norms[1] + _EPS)).clamp(0, max_weight)


def _not_yet(discriminator: nn.Module, reconstructions: Tensor) -> dict[str, Tensor]:
    # A zero that hangs on every parameter, because distributed training waits for each gradient.
    zero = sum(p.sum() for p in discriminator.parameters()) * 0
    return dict(
        loss_adversarial=reconstructions.new_zeros(()), loss_discriminator=zero,
        adaptive_weight=reconstructions.new_zeros(()))
