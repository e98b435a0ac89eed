"""Perceptual similarity as a loss.

Shapes: N images of H x W pixels, RGB.
"""
from __future__ import annotations

import logging
from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor, nn

from ...checkpoints.weight_files import load_weights
from ...registry import MODELS

VGG16_URL = 'https://download.pytorch.org/models/vgg16-397923af.pth'


@MODELS.register_module()
class PerceptualLoss(nn.Module):
    """LPIPS on VGG16 (arXiv 1801.03924), by torchmetrics' maintained copy of the authors' package.

    torchmetrics brings the weights of LPIPS' own layers; those of VGG16 are torchvision's and come
    from a file. The network is frozen and stays out of ``state_dict``, optimizers and DDP. It is
    read by :meth:`load`, at the latest on first use.

    Args:
        weights: File of torchvision's VGG16 weights (vgg16-397923af.pth, or .safetensors).
        weight: Weight of the loss (taming: 1).
        missing_ok: Go on without this loss, with a warning, where torchmetrics or the file is
            missing. Otherwise that stops the training before it starts.
    """

    def __init__(self, weights: str | None = None, weight: float = 1.,
                 missing_ok: bool = False) -> None:
        super().__init__()
        self.weights = weights
        self.weight = weight
        self.missing_ok = missing_ok
        self._is_loaded = False
        self._hidden: tuple[nn.Module, ...] = ()

    def load(self) -> None:
        """Build the network and read its weights, once.

        Raises:
            ImportError: If torchmetrics is missing and ``missing_ok`` is not set.
            FileNotFoundError: The same for the file of VGG16's weights.
            ValueError: If the file does not hold VGG16's weights.
        """
        if self._is_loaded:
            return
        try:
            self._hidden = (_build_lpips(self.weights), )
        except (ImportError, FileNotFoundError) as error:
            if not self.missing_ok:
                raise
            print_log(f'Training goes on without the perceptual loss: {error}', logger='current',
                      level=logging.WARNING)
        self._is_loaded = True

    def forward(self, reconstructions: Tensor, images: Tensor) -> dict[str, Tensor]:
        """Compare reconstructions with images.

        Args:
            reconstructions: (N, 3, H, W), in [0, 1] but for overshoot.
            images: (N, 3, H, W), in [0, 1].

        Returns:
            ``loss_perceptual``, a weighted scalar; empty where the network is missing.
        """
        self.load()
        if not self._hidden:
            return {}
        network = self._hidden[0].to(images.device)
        distances = network(reconstructions, images, normalize=True)
        return dict(loss_perceptual=self.weight * distances.mean())

    def __deepcopy__(self, memo: dict) -> PerceptualLoss:
        twin = type(self)(self.weights, self.weight, self.missing_ok)
        memo[id(self)] = twin
        twin._is_loaded, twin._hidden = self._is_loaded, self._hidden
        return twin.train(self.training)


def _build_lpips(weights: str | None) -> nn.Module:
    try:
        from torchmetrics.functional.image.lpips import _LPIPS
    except ImportError as error:
        raise ImportError(
            'The perceptual loss needs torchmetrics: pip install torchmetrics. Or take '
            'perceptual_loss=None, or missing_ok=True in its config.') from error
    if weights is None or not Path(weights).is_file():
        raise FileNotFoundError(
            f'The perceptual loss found no VGG16 weights at {weights}. Download {VGG16_URL} and '
            'set perceptual_loss.weights to the file. Or take perceptual_loss=None, or '
            'missing_ok=True in its config.')
    network = _LPIPS(net='vgg', pnet_rand=True)
    network.net.load_state_dict(_vgg_features(weights, network.net))
    return network.requires_grad_(False).eval()


def _vgg_features(path: str, network: nn.Module) -> dict[str, Tensor]:
    """Torchvision's ``features.{i}.*`` under LPIPS' ``slice{j}.{i}.*``."""
    stored = load_weights(path)
    wanted = {key: 'features.' + key.split('.', 1)[1] for key in network.state_dict()}
    missing = sorted(set(wanted.values()) - stored.keys())
    if missing:
        raise ValueError(f"{path} is not torchvision's VGG16: it lacks {missing[0]} and "
                         f'{len(missing) - 1} more. Download {VGG16_URL}.')
    return {key: stored[name] for key, name in wanted.items()}
