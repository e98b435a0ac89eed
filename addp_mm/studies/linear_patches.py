"""What a linear layer reads from the tokens of a frozen encoder: label maps, patch by patch.

A number in a minute, to judge a pre-training for detection and segmentation by before a detector is
paid for.

Shapes: N tiles, L tokens of a tile, M tokens of all, D dims, P pixels a side of a patch, C classes.
"""
from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .frozen_tokens import IGNORED, FrozenEncoder, FrozenTokens, Picture, variation_shares
from .tables import mean_and_spread


@dataclass(frozen=True)
class LinearFit:
    """How the linear layer is trained: AdamW with a cosine rate on standardised tokens.

    Attributes:
        iterations: Steps.
        batch_size: Tokens of a step.
        lr: Peak learning rate.
        weight_decay: Of the layer's weight and bias.
    """

    iterations: int = 500
    batch_size: int = 1024
    lr: float = 1e-2
    weight_decay: float = 1e-2

    def __call__(self, data: FrozenTokens, num_classes: int, seed: int) -> nn.Sequential:
        """Train a layer from tokens (M, D) to logits (M, P * P, C).

        Raises:
            ValueError: If there is no labelled pixel.
        """
        tokens, labels = data.tokens.flatten(0, 1), data.labels.flatten(0, 1)
        labelled = (labels != IGNORED).any(dim=1)
        if not labelled.any():
            raise ValueError(f'Every pixel of the chosen label maps is {IGNORED} (ignored): '
                             'nothing is labelled.')
        tokens, labels = tokens[labelled], labels[labelled].long()
        generator = torch.Generator().manual_seed(seed)
        layer = nn.Linear(tokens.shape[1], labels.shape[1] * num_classes)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        optimizer = torch.optim.AdamW(layer.parameters(), self.lr, weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.iterations)
        norm = _standardise(tokens)
        for _ in range(self.iterations):
            chosen = torch.randint(len(tokens), (self.batch_size, ), generator=generator)
            logits = layer(norm(tokens[chosen])).unflatten(1, (-1, num_classes))
            loss = F.cross_entropy(logits.transpose(1, 2), labels[chosen], ignore_index=IGNORED)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        return nn.Sequential(norm, layer, nn.Unflatten(-1, (-1, num_classes))).eval()


def _standardise(tokens: Tensor) -> nn.BatchNorm1d:
    """A layer that brings each dim of tokens (M, D) to mean 0 and deviation 1."""
    norm = nn.BatchNorm1d(tokens.shape[1], affine=False).eval()
    norm.running_mean.copy_(tokens.mean(dim=0))
    norm.running_var.copy_(tokens.var(dim=0))
    return norm


@torch.no_grad()
def mean_iou(layer: nn.Module, data: FrozenTokens, num_classes: int) -> float:
    """Mean of intersection over union of the classes that occur, in percent, over all pixels."""
    counts = torch.zeros(num_classes, num_classes, dtype=torch.long)
    for tokens, labels in zip(data.tokens.split(64), data.labels.split(64), strict=True):
        found = layer(tokens.flatten(0, 1)).argmax(dim=-1)
        wanted = labels.flatten(0, 1).long()
        pairs = (wanted * num_classes + found)[wanted != IGNORED]
        counts += torch.bincount(pairs, minlength=num_classes**2).view_as(counts)
    union = counts.sum(dim=0) + counts.sum(dim=1) - counts.diag()
    occurs = counts.sum(dim=1) > 0
    return float(100 * (counts.diag()[occurs] / union[occurs]).mean())


@dataclass
class LinearPatches:
    """The instrument: one frozen encoder, several draws of the labelled pictures.

    Attributes:
        encoder: The encoder and what it reads.
        fit: How the linear layer is trained.
    """

    encoder: FrozenEncoder
    fit: LinearFit = LinearFit()

    def measure(self, training: Sequence[Picture], validation: Sequence[Picture],
                num_labelled: int, seeds: Sequence[int] = (0, 1, 2)) -> dict[str, Any]:
        """Train on some pictures, score on others, for each draw of the former.

        Args:
            training: The pictures to draw from.
            validation: The pictures that are scored.
            num_labelled: Pictures of a draw.
            seeds: One draw for each.

        Returns:
            ``miou`` of each draw in percent, their ``mean`` and ``spread`` (standard deviation),
            and ``variation`` of the validation pictures, see :func:`variation_shares`.

        Raises:
            ValueError: If there are fewer pictures than asked for, or the label maps have fewer
                than two classes.
        """
        if not 1 <= num_labelled <= len(training):
            raise ValueError(f'{num_labelled} labelled pictures are asked for, there are '
                             f'{len(training)}: choose 1 to {len(training)}.')
        draws = {seed: draw_pictures(training, num_labelled, seed) for seed in seeds}
        scored = FrozenTokens.join([self.encoder.read(picture) for picture in validation])
        encoded = {picture: self.encoder.read(picture)
                   for picture in {picture for draw in draws.values() for picture in draw}}
        num_classes = 1 + max(_largest_class('drawn training', encoded.values()),
                              _largest_class('validation', [scored]))
        miou = []
        for seed, draw in draws.items():
            layer = self.fit(FrozenTokens.join([encoded[p] for p in draw]), num_classes, seed)
            miou.append(mean_iou(layer, scored, num_classes))
        return summarise(miou) | dict(variation=variation_shares(scored.tokens))


def draw_pictures(pictures: Sequence[Picture], number: int, seed: int) -> list[Picture]:
    """Choose some pictures; the same ones for a seed, whatever else is drawn."""
    generator = torch.Generator().manual_seed(seed)
    return [pictures[i] for i in torch.randperm(len(pictures), generator=generator)[:number]]


def summarise(miou: Sequence[float]) -> dict[str, Any]:
    """The values of the draws with their mean and standard deviation."""
    spread = statistics.stdev(miou) if len(miou) > 1 else 0.
    return dict(miou=list(miou), mean=statistics.mean(miou), spread=spread)


def table_row(title: str, record: Mapping[str, Any]) -> dict[str, str]:
    """A line of the table of encoders."""
    variation = record['variation']
    return {
        'encoder': title,
        'mIoU': mean_and_spread(record['miou']),
        'within tiles': f'{variation["within"]:.0%}',
        'between tiles': f'{variation["tiles"]:.0%}',
        'places': f'{variation["places"]:.0%}',
    }


def _largest_class(part: str, data: Iterable[FrozenTokens]) -> int:
    """The largest of at least two classes in the label maps of a part."""
    found = torch.cat([tokens.labels.flatten() for tokens in data]).unique().tolist()
    classes = [value for value in found if value != IGNORED]
    if len(classes) < 2:
        raise ValueError(
            f'The {part} label maps have the classes {classes}, expected at least two: their '
            f'values are classes from 0 on, and {IGNORED} means that a pixel is not labelled. Maps '
            f'of 0 and {IGNORED} need 1 instead of {IGNORED}.')
    return classes[-1]
