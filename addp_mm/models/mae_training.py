"""Masked autoencoding that is scored on held-out images.

Shapes: N images, L patches of P x P pixels.
"""
from __future__ import annotations

import torch
from mmengine.dist import get_rank
from mmpretrain.models import MAE
from torch import Tensor

from ..registry import MODELS


@MODELS.register_module()
class MAETraining(MAE):
    """mmpretrain's ``MAE`` (arXiv 2111.06377) with a validation; it trains as the parent does.

    ADDP's encoder may start from its weights: at a small size it learns more of what stands where
    from them than from its own task. Arguments are the parent's.
    """

    def val_step(self, data: dict) -> list[dict[str, float]]:
        """Predict hidden patches of held-out images.

        The masks are the same in every call with as many images, and no draw of training is
        touched.

        Args:
            data: A batch of the data loader.

        Returns:
            What ``HiddenPixels`` takes: for each image the squared error over its hidden patches,
            and the squared deviation of their pixels from the mean colour of the patch.
        """
        images = self.data_preprocessor(data)['inputs']
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(get_rank())
            encoded, mask, order = self.backbone(images)
        return self._score(self.neck(encoded, order), images, mask)

    def test_step(self, data: dict) -> list[dict[str, float]]:
        """As :meth:`val_step`."""
        return self.val_step(data)

    def _score(self, pixels: Tensor, images: Tensor, mask: Tensor) -> list[dict[str, float]]:
        """Compare the pixels of hidden patches, (N, L, 3 P P), with those of the images."""
        target = self.head.construct_target(images).double()
        errors = (pixels - target).square().mean(dim=-1) * mask                 # (N, L)
        channels = target.unflatten(-1, (-1, images.shape[1]))                  # (N, L, P P, 3)
        deviations = channels.var(dim=2, correction=0).mean(dim=-1) * mask
        return [dict(error=error, deviation=deviation) for error, deviation in zip(
            errors.sum(dim=1).tolist(), deviations.sum(dim=1).tolist(), strict=True)]
