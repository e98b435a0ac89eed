"""How long a stage trains: measures its iterations and fits its epochs into a time."""
from __future__ import annotations

import copy
import math
import subprocess
import sys
import time
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from ..registry import MODELS
from .training_log import explain_failure
from .trainings import StageError, child_environment

# Of a stage's time; the rest is for validation and checkpoints.
TRAINING_SHARE = 0.85
START_SECONDS = 10.
MIN_EPOCHS = 2
PROBED_ITERS, PROBED_SECONDS = 8, 20.
NUM_VALIDATIONS = 6
WARMUP_SHARE = 0.05
DISCRIMINATOR_FROM = 0.25


def set_length(cfg: Config, seconds: float, minutes: float) -> None:
    """Set epochs, rates and intervals of a config so that its training takes about ``minutes``.

    Where not even two epochs fit, an epoch repeats few images less often.

    Args:
        cfg: Config of the stage, changed in place.
        seconds: Measured seconds of an iteration.
        minutes: Time for the whole stage.
    """
    budget = TRAINING_SHARE * max(0., 60 * minutes - START_SECONDS)
    _limit_repetitions(cfg, budget / (seconds * MIN_EPOCHS))
    iters = batches_per_epoch(cfg)
    epochs = max(MIN_EPOCHS, int(budget / (seconds * iters)))
    warmup = min(epochs - 1, math.ceil(WARMUP_SHARE * epochs))
    interval = max(1, epochs // NUM_VALIDATIONS)
    cfg.train_cfg = dict(by_epoch=True, max_epochs=epochs, val_interval=interval)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, end=warmup, convert_to_iter_based=True),
        dict(type='CosineAnnealingLR', begin=warmup, end=epochs, convert_to_iter_based=True)
    ]
    # A checkpoint about every minute, at least ten.
    every = max(1, min(epochs // 10, int(60 / (seconds * iters))))
    cfg.default_hooks.checkpoint = dict(
        type='AtomicCheckpointHook', interval=every, max_keep_ckpts=1)
    if cfg.model.get('discriminator'):
        cfg.model.adversarial_loss.start = int(DISCRIMINATOR_FROM * epochs * iters)


def minutes_at_least(cfg: Config, seconds: float) -> float:
    """How long the start and the iterations of a config take together, in minutes.

    Args:
        cfg: Config of a stage whose length is set.
        seconds: Measured seconds of an iteration.
    """
    return (START_SECONDS + cfg.train_cfg.max_epochs * batches_per_epoch(cfg) * seconds) / 60


def measure_seconds_per_iter(path: Path) -> float:
    """:func:`seconds_per_iter` of a config file, in a process like that of the training.

    Raises:
        StageError: If the config does not train.
    """
    found = subprocess.run([sys.executable, '-m', __name__, str(path)],
                           env=child_environment(), capture_output=True, text=True)
    if found.returncode:
        log = path.with_suffix('.log')
        log.write_text(found.stdout + found.stderr)
        raise StageError(f'{path} does not train. {explain_failure(log, found.returncode)}')
    return float(found.stdout.split()[-1])


def seconds_per_iter(cfg: Config) -> float:
    """The median over a few iterations of training with real data, the first one left out."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader), seed=0)
        model = MODELS.build(cfg.model).to(get_device())
        model.init_weights()
        wrapper = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    if hasattr(wrapper, 'initialize_count_status'):
        wrapper.initialize_count_status(model, 0, PROBED_ITERS)
    model.train()
    times: list[float] = []
    started = time.perf_counter()
    for data in cycle(loader):
        model.train_step(data, wrapper)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter())
        if len(times) > PROBED_ITERS or (len(times) > 2 and times[-1] - started > PROBED_SECONDS):
            break
    return float(np.median(np.diff(times)))


def batches_per_epoch(cfg: Config) -> int:
    """Batches of an epoch, repetitions of the images included."""
    times = cfg.train_dataloader.dataset.get('times', 1)
    return _num_images(cfg) * times // cfg.train_dataloader.batch_size


def _num_images(cfg: Config) -> int:
    data = cfg.train_dataloader.dataset
    with open(data.get('dataset', data).ann_file) as file:
        return sum(1 for _ in file)


def _limit_repetitions(cfg: Config, batches: float) -> None:
    """Let an epoch of repeated images have about ``batches`` batches at most, but one at least."""
    data = cfg.train_dataloader.dataset
    batch, num_images = cfg.train_dataloader.batch_size, _num_images(cfg)
    if 'times' in data:
        fewest = math.ceil(batch / num_images)
        data.times = min(data.times, max(fewest, int(batches * batch / num_images)))


if __name__ == '__main__':
    sys.stdout.write(f'{seconds_per_iter(Config.fromfile(sys.argv[1]))}\n')
