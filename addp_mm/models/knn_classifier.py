"""Classes by the nearest labelled images."""
from __future__ import annotations

from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import torch
from mmengine import dist
from mmengine.runner import Runner
from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..checkpoints import find_encoder, fit_encoder, say_what_was_loaded
from ..checkpoints.module_notes import renamed
from ..registry import MODELS


@MODELS.register_module()
class KNNClassifier(ImageClassifier):
    """Weighted k-nearest-neighbour classifier on the features of a frozen encoder.

    Each of the ``num_neighbors`` labelled images that are nearest by cosine similarity s votes for
    its class with exp(s / ``temperature``). The labelled images are encoded before the first
    prediction, divided among the processes. Nothing is trained: it is run by ``test.py`` with
    the checkpoint of a pre-training or of a classifier, or a released file.

    Source: DINO (arXiv 2104.14294), Sec. 4.2 and its release; ADDP's paper has no such evaluation.

    Args:
        backbone: Config of the encoder; one vector (N, D) as its last output.
        gallery: Config of the data loader of the labelled images.
        num_classes: Number of classes.
        num_neighbors: How many neighbours vote, at most as many as there are labelled images.
        temperature: Of the votes' weights, positive.
        **kwargs: Arguments of ``ImageClassifier``: ``neck``, ``data_preprocessor``.

    Raises:
        ValueError: If a number is not positive, the gallery is smaller than ``num_neighbors``, or
            a checkpoint does not hold the encoder.
    """

    # The norm behind the averaged patches, which no pre-training has, starts as the identity.
    new_parameters = ('backbone.ln2.*', )

    def __init__(self, backbone: dict, gallery: dict, num_classes: int, num_neighbors: int = 20,
                 temperature: float = 0.07, **kwargs) -> None:
        super().__init__(backbone=backbone, **kwargs)
        if min(num_classes, num_neighbors, temperature) <= 0:
            raise ValueError(
                'num_classes, num_neighbors and temperature must be positive, got '
                f'{num_classes}, {num_neighbors} and {temperature}.')
        self.gallery = gallery
        self.num_classes = num_classes
        self.num_neighbors = num_neighbors
        self.temperature = temperature
        self._encoded: tuple[Tensor, Tensor] | None = None
        self._register_load_state_dict_pre_hook(self._take_encoder)

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[DataSample] | None = None,
                **kwargs: Any) -> list[DataSample]:
        """Classify images.

        Args:
            inputs: Normalised images (N, 3, H, W).
            data_samples: Where to write the predictions; new ones if None.
            **kwargs: Ignored, as there is no head.

        Returns:
            For each image ``pred_score`` (``num_classes``,), which sums to 1, and ``pred_label``.
        """
        scores = self.vote(self._features(inputs))
        samples = [DataSample() for _ in scores] if data_samples is None else data_samples
        return [sample.set_pred_score(score).set_pred_label(score.argmax(dim=0, keepdim=True))
                for sample, score in zip(samples, scores, strict=True)]

    def vote(self, features: Tensor) -> Tensor:
        """Shares of the votes.

        Args:
            features: Features (N, D) of length 1.

        Returns:
            Shares (N, ``num_classes``), each row sums to 1.
        """
        if self._encoded is None:
            self._encoded = self._encode_gallery()
        known, labels = self._encoded                                       # (M, D), (M,)
        similarity, nearest = (features @ known.T).topk(self.num_neighbors)             # (N, k)
        weights = (similarity / self.temperature).softmax(dim=1)
        scores = features.new_zeros(len(features), self.num_classes)
        return scores.scatter_add_(1, labels[nearest], weights)

    def _features(self, inputs: Tensor) -> Tensor:
        return nn.functional.normalize(self.extract_feat(inputs)[-1].float(), dim=1)

    @cached_property
    def gallery_loader(self) -> DataLoader:
        """The loader of the labelled images."""
        return Runner.build_dataloader(self.gallery)

    def _encode_gallery(self) -> tuple[Tensor, Tensor]:
        """Features (M, D) and labels (M,) of the labelled images."""
        loader = self.gallery_loader
        labels = torch.as_tensor(loader.dataset.get_gt_labels())
        if len(labels) < self.num_neighbors:
            raise ValueError(f'num_neighbors={self.num_neighbors} asks for more than the '
                             f'{len(labels)} labelled images of the gallery.')
        self.eval()
        known: Tensor | None = None
        for batch in loader:
            batch = self.data_preprocessor(batch)
            features = self._features(batch['inputs'])
            if known is None:
                known = features.new_zeros(len(labels), features.shape[1])
            known[[sample.sample_idx for sample in batch['data_samples']]] = features
        assert known is not None, 'the gallery has images'
        # A sampler fills up: an image may come in two processes, but its direction stays.
        dist.all_reduce(known)
        return nn.functional.normalize(known, dim=1), labels.to(known.device)

    def _take_encoder(self, state_dict: dict[str, Tensor], prefix: str, *args: Any) -> None:
        """Put the encoder of whatever checkpoint there is in the place of the checkpoint."""
        names = {name[len(prefix):]: name for name in state_dict if name.startswith(prefix)}
        found = find_encoder(self.backbone, renamed(state_dict, names))
        missing = [name for name in self.backbone.state_dict()
                   if name not in found.weights and not any(
                       fnmatchcase(f'backbone.{name}', pattern) for pattern in self.new_parameters)]
        if missing:
            raise ValueError(
                f'Expected the encoder of the config in the checkpoint, {len(missing)} of its '
                f'tensors are missing, the first is {missing[0]}. Name a checkpoint of the same '
                'architecture; one that never had a norm behind its position table needs '
                'model.backbone.pre_norm=False.')
        weights, load = fit_encoder(self.backbone, found)
        say_what_was_loaded(self.backbone, load, 'the checkpoint', is_frozen=True)
        for name in names.values():
            del state_dict[name]
        state_dict.update({f'{prefix}backbone.{name}': weights[name] for name in load.loaded})
        self._encoded = None
