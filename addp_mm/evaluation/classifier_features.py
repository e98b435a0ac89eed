"""A classifier of mmpretrain as a feature extractor of torch-fidelity.

Shapes: N images of H x W pixels, D feature channels, C classes.
"""
from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from ..checkpoints.weight_files import load_weights
from ..config_file import model_of, read_config_file
from ..registry import MODELS

LAYERS = ('features', 'logits')


class ClassifierFeatures(FeatureExtractorBase):
    """What a classifier sees: for images that Inception was not made for, such as small digits.

    FID and the other metrics are then distances in this classifier's features, comparable only
    with those of the same classifier.

    Args:
        name: Name that torch-fidelity uses.
        features_list: Some of 'features' (what enters the last linear layer) and 'logits'.
        feature_extractor_weights_path: Checkpoint of the classifier.
        classifier_config: Its config file.
        **_: What other extractors take.

    Raises:
        ValueError: If config or weights are missing or do not fit each other.
    """

    def __init__(self, name: str, features_list: list[str],
                 feature_extractor_weights_path: str | None = None,
                 classifier_config: str | None = None, **_: Any) -> None:
        super().__init__(name, features_list)
        if feature_extractor_weights_path is None or classifier_config is None:
            raise ValueError('A classifier as feature extractor needs its config and its weights, '
                             f'got {classifier_config} and {feature_extractor_weights_path}.')
        self.classifier = MODELS.build(model_of(read_config_file(classifier_config)))
        self.classifier.load_state_dict(load_weights(feature_extractor_weights_path))

    @staticmethod
    def get_provided_features_list() -> tuple[str, ...]:
        """The names of the layers."""
        return LAYERS

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        """Logits for the Inception Score 'isc', features for the others."""
        return 'logits' if metric == 'isc' else 'features'

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Features (N, D) and logits (N, C), as asked for, of (N, 3, H, W) uint8 in RGB."""
        # The preprocessor was made for batches of mmcv, which are BGR.
        inputs = self.classifier.data_preprocessor(dict(inputs=images.flip(1)))['inputs']
        stages = self.classifier.extract_feat(inputs)
        made = dict(features=self.classifier.head.pre_logits(stages),
                    logits=self.classifier.head(stages))
        return tuple(made[name].flatten(1) for name in self.features_list)
