"""Pictures of what trained stages do: reconstructions, training's view, samples, curves."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from torch import Tensor

from ..apis import ADDPInferencer
from ..apis.pictures import draw_generation, draw_lower_halves
from ..evaluation import variation_kept
from ..generation import from_pixels
from ..registry import DATASETS, MODELS
from ..visualization.curves import draw_curves, read_run
from ..visualization.image_grid import image_grid, sample_grid
from ..visualization.training_view import training_view
from .quality import Verdict, judge_samples
from .trainings import Stage

NUM_RECONSTRUCTIONS = 10
NUM_SEARCHED = 500
NUM_VIEWED = 3
NUM_GENERATED = 100
NUM_EDITED = 6
_BATCH = 50


def write_pictures(stages: Sequence[Stage], folder: Path) -> dict[str, Path]:
    """Draw what finished stages do with held-out images.

    Args:
        stages: They begin with the tokenizer; where they end with ADDP, its view is drawn too.
        folder: Where the PNG files go; made if it does not exist.

    Returns:
        The file of each picture: 'reconstructions', 'worst', 'curves_<stage>' and, with ADDP,
        'training_view'.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _draw_reconstructions(stages[0])
    if stages[-1].name == 'addp':
        drawn['training_view'] = _draw_training_view(stages[-1].cfg)
    pictures = {name: folder / f'{name}.png' for name in drawn}
    for name, picture in drawn.items():
        Image.fromarray(picture).save(pictures[name])
    for stage in stages:
        pictures[f'curves_{stage.name}'] = folder / f'curves_{stage.name}.png'
        draw_curves([read_run(stage.work_dir)]).savefig(pictures[f'curves_{stage.name}'], dpi=80)
    return pictures


def write_generated(stage: Stage, folder: Path, seed: int = 0, **sampler: Any
                    ) -> tuple[dict[str, Path], Verdict]:
    """Draw what a finished stage generates, and lower halves of held-out images, inpainted.

    Args:
        stage: Trained ADDP, or a token predictor.
        folder: Where the PNG files go.
        seed: Any integer.
        **sampler: Options of the sampler.

    Returns:
        The file of each picture: 'samples', 'steps', 'edits'; and what the samples are worth.
    """
    inferencer = ADDPInferencer(stage.cfg, stage.checkpoint)
    samples = from_pixels(inferencer.generate(NUM_GENERATED, seed, **sampler))
    held_out = held_out_images(stage.cfg, inferencer.model.data_preprocessor)
    edited = held_out[torch.linspace(0, len(held_out) - 1, NUM_EDITED).long()]
    pictures = dict(
        samples=sample_grid(samples),
        steps=draw_generation(inferencer, 1, seed, **sampler)['steps'],
        edits=draw_lower_halves(inferencer, edited, seed=seed, **sampler))
    files = {name: folder / f'{name}.png' for name in ('samples', 'steps', 'edits')}
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        Image.fromarray(pictures[name]).save(file)
    return files, judge_samples(samples, held_out)


@torch.no_grad()
def _draw_reconstructions(stage: Stage) -> dict[str, np.ndarray]:
    """Held-out images above what the tokenizer makes of them: at even spaces, and the worst."""
    tokenizer = dict(model=stage.cfg.model.tokenizer, checkpoint=str(stage.checkpoint))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        preprocessor = MODELS.build(dict(type='TokenDataPreprocessor', tokenizer=tokenizer))
    preprocessor.load_frozen()
    images = held_out_images(stage.cfg, preprocessor)
    decoded = []
    with preprocessor.tokenizer.running() as network:
        for part in images.split(_BATCH):
            decoded.append(network.decode(preprocessor.tokenize(part)[1]).float().clamp(0, 1))
    reconstructions = torch.cat(decoded)
    spread = torch.linspace(0, len(images) - 1, min(NUM_RECONSTRUCTIONS, len(images))).long()
    # An image of one colour, which has no share, stands at the end.
    worst = variation_kept(reconstructions, images).nan_to_num(2).argsort()[:NUM_RECONSTRUCTIONS]
    return {name: image_grid([images[chosen], reconstructions[chosen]],
                             ['image', 'reconstruction'])
            for name, chosen in (('reconstructions', spread), ('worst', worst))}


@torch.no_grad()
def _draw_training_view(cfg: Config) -> np.ndarray:
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        preprocessor = MODELS.build(cfg.model).data_preprocessor
    preprocessor.load_frozen()
    return training_view(preprocessor, held_out_images(cfg, preprocessor, NUM_VIEWED))


def held_out_images(cfg: Config, preprocessor: torch.nn.Module,
                    count: int = NUM_SEARCHED) -> Tensor:
    """Images (N, 3, H, W) in [0, 1] at even spaces of the held-out ones, at most ``count``."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build({**cfg.val_dataloader.dataset, 'serialize_data': False})
    places = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    return preprocessor.to_images(dict(inputs=[dataset[i]['inputs'] for i in places]))[0]
