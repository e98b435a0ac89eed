"""A feature extractor of torch-fidelity that takes no time, and image sets to try it on.

Also what ``--import tests.helpers.tiny_features`` of the tools imports.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip('torch_fidelity', reason='torch-fidelity is not installed')
from torch_fidelity import register_feature_extractor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY

NAME = 'tiny-features'


class TinyFeatures(FeatureExtractorBase):
    """Mean colours of four quarters, 'colours' (N, 12), and fixed mixtures of them, 'logits'."""

    def __init__(self, name: str, features_list: list[str], **_) -> None:
        super().__init__(name, features_list)
        generator = torch.Generator().manual_seed(1)
        self.mixture = torch.nn.Parameter(0.1 * torch.randn(12, 6, generator=generator))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        return 'colours', 'logits'

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return 'logits' if metric == 'isc' else 'colours'

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        colours = torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)
        made = dict(colours=colours, logits=colours @ self.mixture)
        return tuple(made[name] for name in self.features_list)


if NAME not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor(NAME, TinyFeatures)


def random_images(count: int, seed: int, size: int = 16) -> np.ndarray:
    """(count, size, size, 3) uint8, each with a colour of its own."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 200, (count, 2, 2, 3)).repeat(size // 2, 1).repeat(size // 2, 2)
    return (base + rng.integers(0, 56, (count, size, size, 3))).astype(np.uint8)


def write_png(folder: Path, images: np.ndarray) -> Path:
    """Write images as numbered PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f'{index:06d}.png')
    return folder
