"""What the two stacks of OpenMMLab libraries do differently: features are asked, not versions."""
from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from mmengine.config import Config


def check_class_weights(cfg: Config) -> None:
    """See that the installed mmseg can weigh classes where pixels are ignored, if a config does.

    Args:
        cfg: A config for mmseg.

    Raises:
        ValueError: If it cannot: mmsegmentation 1.2.2 looks for the weight of the ignored label.
    """
    weighted = [f'model.{head}' for head in ('decode_head', 'auxiliary_head')
                if any(loss.get('class_weight') for loss in _losses(cfg.model.get(head)))]
    if weighted and not weighs_ignored_pixels():
        options = ' '.join(f'{head}.loss_decode.class_weight=None' for head in weighted)
        raise ValueError('The installed mmseg cannot weigh classes (class_weight) where pixels are '
                         'ignored; onedl-mmsegmentation can. To train without the weights: '
                         f'--cfg-options {options}.')


@functools.cache
def weighs_ignored_pixels() -> bool:
    """Whether mmseg's cross-entropy takes class weights beside an ignored label."""
    from mmseg.models.losses.cross_entropy_loss import cross_entropy
    label = torch.tensor([[[0, 255]]])
    try:
        cross_entropy(torch.zeros(1, 2, 1, 2), label, class_weight=torch.ones(2), ignore_index=255)
    except IndexError:
        return False
    return True


def _losses(head: dict | list | None) -> Iterator[dict]:
    for part in head if isinstance(head, list) else [head or {}]:
        losses = part.get('loss_decode') or []
        yield from losses if isinstance(losses, (list, tuple)) else [losses]
