"""The sampler's temperature, by how much differs within the images that it makes.

A low temperature keeps the surest tokens first. Where most of an image is background those are
background, and so is all that follows; a high one draws in any order, and fills images up.
"""
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..apis import ADDPInferencer
from ..generation import from_pixels
from .pictures import held_out_images
from .quality import variance_share
from .trainings import Stage

TEMPERATURES = (1., 2., 4., 8., 16.)
NUM_TRIED = 24
_SEED = 1       # the report shows seed 0


def choose_temperature(stage: Stage) -> float:
    """The one of :data:`TEMPERATURES` whose images vary most nearly as held-out ones do.

    Args:
        stage: Trained ADDP.
    """
    inferencer = ADDPInferencer(stage.cfg, stage.checkpoint)
    held_out = held_out_images(stage.cfg, inferencer.model.data_preprocessor)
    samples = [from_pixels(inferencer.generate(NUM_TRIED, _SEED, temperature=temperature))
               for temperature in TEMPERATURES]
    return TEMPERATURES[nearest(samples, held_out)]


def nearest(candidates: Sequence[Tensor], images: Tensor) -> int:
    """Which of some sets of images (N, 3, H, W) has the variance within images of another one."""
    shares = torch.tensor([variance_share(samples, images) for samples in candidates])
    return int(shares.log().abs().nan_to_num(math.inf).argmin())
