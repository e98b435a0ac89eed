"""Pictures of what trained stages do: reconstructions, what ADDP's training sees, curves."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from torch import Tensor

from ..registry import DATASETS, MODELS
from ..visualization.curves import draw_curves
from ..visualization.image_grid import image_grid
from ..visualization.scalars import read_run
from ..visualization.training_view import training_view
from .stages import Stage

NUM_RECONSTRUCTIONS = 10
NUM_VIEWED = 3


def write_pictures(stages: Sequence[Stage], folder: Path) -> dict[str, Path]:
    """Draw what finished stages do with held-out images.

    Args:
        stages: They end with the stage that trains ADDP.
        folder: Where the PNG files go; made if it does not exist.

    Returns:
        The file of each picture: 'reconstructions', 'training_view', and 'curves_<stage>'.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for name, picture in _draw_images(stages[-1].cfg).items():
        pictures[name] = folder / f'{name}.png'
        Image.fromarray(picture).save(pictures[name])
    for stage in stages:
        pictures[f'curves_{stage.name}'] = folder / f'curves_{stage.name}.png'
        draw_curves([read_run(stage.work_dir)]).savefig(pictures[f'curves_{stage.name}'], dpi=80)
    return pictures


@torch.no_grad()
def _draw_images(cfg: Config) -> dict[str, np.ndarray]:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build({**cfg.val_dataloader.dataset, 'serialize_data': False})
        preprocessor = MODELS.build(cfg.model).data_preprocessor
    preprocessor.load_frozen()
    images = _spread_images(dataset, preprocessor, NUM_RECONSTRUCTIONS)
    latents = preprocessor.tokenize(images)[1]
    with preprocessor.tokenizer.running() as tokenizer:
        reconstructions = tokenizer.decode(latents).float().clamp(0, 1)
    return dict(
        reconstructions=image_grid([images, reconstructions], ['image', 'reconstruction']),
        training_view=training_view(preprocessor, images[:NUM_VIEWED]))


def _spread_images(dataset: torch.utils.data.Dataset, preprocessor: torch.nn.Module,
                   count: int) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] at even spaces of a data set, at most ``count``."""
    places = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    return preprocessor.to_images(dict(inputs=[dataset[i]['inputs'] for i in places]))[0]
