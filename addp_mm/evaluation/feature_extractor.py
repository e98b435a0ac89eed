"""The networks of torch-fidelity whose features FID and its relatives compare.

Shapes: N images of H x W pixels, D feature channels.
"""
from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from ..checkpoints.weight_files import load_checkpoint, sha256_of

METRICS = ('fid', 'is', 'prc')
INCEPTION = 'inception-v3-compat'
VGG = 'vgg16'
CLASSIFIER = 'classifier'
_FIDELITY_NAMES = {'fid': 'fid', 'is': 'isc', 'prc': 'prc'}
# The environment variable that names a weight file, and the file that torch-fidelity downloads.
_INCEPTION_FILE = 'weights-inception-2015-12-05-6726825d.pth'
_SOURCES = {
    INCEPTION: ('ADDP_INCEPTION_WEIGHTS', _INCEPTION_FILE, 'https://github.com/toshas/'
                f'torch-fidelity/releases/download/v0.2.0/{_INCEPTION_FILE}'),
    VGG: ('ADDP_VGG16_WEIGHTS', 'vgg16-397923af.pth',
          'https://download.pytorch.org/models/vgg16-397923af.pth'),
}


@dataclass(frozen=True)
class FeatureExtractor:
    """Which network makes features, and where its weights are.

    Attributes:
        name: 'inception-v3-compat', 'vgg16' or another name that torch-fidelity knows; 'classifier'
            for a classifier of mmpretrain; or what ``torch_fidelity.register_feature_extractor``
            was given.
        weights: The weight file. None: the file that the environment variable
            ``ADDP_INCEPTION_WEIGHTS`` or ``ADDP_VGG16_WEIGHTS`` names, else torch's cache, else
            torch-fidelity downloads it.
        config: The config of a 'classifier'.
    """

    name: str = INCEPTION
    weights: str | None = None
    config: str | None = None

    @property
    def path(self) -> Path | None:
        """The weight file, None if it must be downloaded first."""
        variable, file, _ = _SOURCES.get(self.name, ('', '', ''))
        named = self.weights or (variable and os.environ.get(variable))
        cached = Path(torch.hub.get_dir()) / 'checkpoints' / file
        return Path(named) if named else cached if file and cached.is_file() else None

    @property
    def is_standard(self) -> bool:
        """Whether it is the network of published numbers, by its name and that of its weights.

        The weights carry a number in their name, under which pytorch-fid has them as well. It is
        not the hash of every file of this name, so that contents cannot tell.
        """
        if self.name not in _SOURCES or self.path is None:
            return False
        return _SOURCES[self.name][1][-12:-4] in self.path.name

    def describe(self) -> dict[str, Any]:
        """What identifies its features, for records and caches."""
        return dict(name=self.name, weights=self.path and self.path.name,
                    weights_sha256=self.path and sha256_of(self.path),
                    config_sha256=self.config and sha256_of(self.config),
                    standard=self.is_standard)

    def layer_of(self, metric: str) -> str:
        """The layer that a metric takes its features from."""
        return self._network_class().get_default_feature_layer_for_metric(_FIDELITY_NAMES[metric])

    def build(self, layers: Sequence[str]) -> nn.Module:
        """Build the network on the CPU: uint8 (N, 3, H, W) to a tuple of (N, D), as ``layers``.

        Raises:
            FileNotFoundError: If the weights are neither here nor can be downloaded.
            ValueError: If they are another network's.
        """
        network = self._network_class()
        if self.path is not None:
            load_checkpoint(self.path)      # torch-fidelity's own loader would run what it contains
        options = dict(feature_extractor_weights_path=self.path and str(self.path), verbose=False)
        if self.name == CLASSIFIER:
            options['classifier_config'] = self.config
        try:
            with DefaultScope.overwrite_default_scope('mmpretrain'):
                return network(self.name, list(layers), **options).requires_grad_(False).eval()
        except OSError as error:
            if self.path is not None:
                raise
            raise FileNotFoundError(self._how_to_get(error)) from error
        except RuntimeError as error:       # what load_state_dict raises
            raise ValueError(f'{self.path} does not hold the weights of {self.name}: '
                             f'{" ".join(str(error).split())[:300]}') from error

    def _network_class(self) -> type[nn.Module]:
        known = _torch_fidelity().registry.FEATURE_EXTRACTORS_REGISTRY
        if self.name == CLASSIFIER:
            from .classifier_features import ClassifierFeatures
            return ClassifierFeatures
        if self.name not in known:
            raise ValueError(f'The feature extractor must be one of {sorted([*known, CLASSIFIER])}'
                             f', got {self.name!r}. Import the module that registers yours first.')
        return known[self.name]

    def _how_to_get(self, error: OSError) -> str:
        if self.name not in _SOURCES:
            return f'The weights of {self.name} could not be downloaded ({error}): name a file.'
        variable, file, url = _SOURCES[self.name]
        return (f'The weights of {self.name} are not here, and downloading them failed ({error}). '
                f'Fetch {url} where there is a network, copy it here and name it: the flag for its '
                f'weights, the environment variable {variable}, or put it into '
                f'{Path(torch.hub.get_dir()) / "checkpoints" / file}.')


class MetricFeatures:
    """Makes, of each image, the features that the wanted metrics compare.

    Args:
        metrics: Some of 'fid', 'is' (Inception Score) and 'prc' (precision and recall).
        extractor: The network of FID and Inception Score.
        prc_extractor: The network of precision and recall. None: VGG-16 beside Inception, as
            torch-fidelity does by default, else the same as ``extractor``.
        device: Where the networks run.

    Raises:
        FileNotFoundError: If weights are missing.
        ModuleNotFoundError: If torch-fidelity is not installed.
        ValueError: If a metric or an extractor is unknown, or weights do not fit.
    """

    def __init__(self, metrics: Sequence[str] = METRICS,
                 extractor: FeatureExtractor | None = None,
                 prc_extractor: FeatureExtractor | None = None,
                 device: torch.device | str = 'cpu') -> None:
        if not metrics or not set(metrics) <= set(METRICS):
            raise ValueError(f'metrics must be some of {METRICS}, got {tuple(metrics)}.')
        extractor = extractor or FeatureExtractor()
        if prc_extractor is None:
            prc_extractor = FeatureExtractor(VGG) if extractor.name == INCEPTION else extractor
        self.metrics = tuple(metrics)
        self.extractors = {metric: prc_extractor if metric == 'prc' else extractor
                           for metric in self.metrics}
        self._layers: dict[FeatureExtractor, list[str]] = {}
        for metric, chosen in self.extractors.items():
            layers = self._layers.setdefault(chosen, [])
            if chosen.layer_of(metric) not in layers:
                layers.append(chosen.layer_of(metric))
        self._networks = {chosen: chosen.build(layers)
                          for chosen, layers in self._layers.items()}
        self.to(device)

    def to(self, device: torch.device | str) -> MetricFeatures:
        """Move the networks."""
        self.device = torch.device(device)
        for network in self._networks.values():
            network.to(self.device)
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """Make features.

        Args:
            images: (N, 3, H, W) uint8, RGB.

        Returns:
            For each metric (N, D) float32, on the CPU.
        """
        features = {}
        for extractor, network in self._networks.items():
            values = [value.float().cpu() for value in network(images.to(self.device))]
            features[extractor] = dict(zip(self._layers[extractor], values, strict=True))
        return {metric: features[extractor][extractor.layer_of(metric)]
                for metric, extractor in self.extractors.items()}

    def describe(self) -> dict[str, dict[str, Any]]:
        """For each metric what identifies its features."""
        return {metric: dict(extractor.describe(), layer=extractor.layer_of(metric))
                for metric, extractor in self.extractors.items()}


def build_extractors(metrics: Sequence[str] = METRICS, name: str = INCEPTION,
                     weights: str | None = None, config: str | None = None,
                     prc_name: str | None = None, prc_weights: str | None = None,
                     modules: Sequence[str] = (),
                     device: torch.device | str | None = None) -> MetricFeatures:
    """Build the networks of metrics.

    Args:
        metrics: Of 'fid', 'is' (Inception Score) and 'prc' (precision and recall).
        name: The network, see :class:`FeatureExtractor`, also for the next two.
        weights: Its weight file.
        config: The config of a 'classifier'.
        prc_name: The network of precision and recall; None: see :class:`MetricFeatures`.
        prc_weights: Its weight file.
        modules: Python modules to import first, which register networks; also from the working
            folder.
        device: Where they run; None: a GPU if there is one.

    Raises:
        FileNotFoundError: If weights are missing.
        ModuleNotFoundError: If torch-fidelity or a module is missing.
        ValueError: If a name is unknown, or weights do not fit.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    for module in modules:
        importlib.import_module(module)
    main = FeatureExtractor(name, weights, config)
    other = None
    if prc_name is not None:
        same = prc_name == main.name and prc_weights is None
        other = main if same else FeatureExtractor(prc_name, prc_weights)
    elif prc_weights is not None:
        other = FeatureExtractor(VGG, prc_weights)
    return MetricFeatures(metrics, main, other, device or get_device())


def _torch_fidelity() -> ModuleType:
    try:
        import torch_fidelity
        import torch_fidelity.registry
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'FID, Inception Score, precision and recall need torch-fidelity: '
            'pip install "torch-fidelity>=0.4.0"') from error
    return torch_fidelity
