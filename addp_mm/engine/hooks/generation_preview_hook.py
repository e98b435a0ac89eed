"""A picture of generated images while ADDP or a token predictor trains."""
from __future__ import annotations

import math

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.distributed.fsdp import FSDPModule
from torchvision.utils import make_grid

from ...generation import ImageGenerator, to_pixels
from ...registry import HOOKS, TASK_UTILS
from ..unwrapped import unwrapped


@HOOKS.register_module()
class GenerationPreviewHook(Hook):
    """Sends a grid of generated images to every backend of the visualizer.

    The noise is the same each time, so that the pictures of a training can be compared. The
    weights are those that train, not the average of an ``EMAHook``. No random number of the
    training is used.

    Args:
        interval: Draw after every so many epochs, and after the last one.
        num_images: Number of images.
        seed: Seed of the images.
        sampler: Options of the ``DenoisingSampler``; its defaults are those of the reference.
        by_epoch: Count epochs; else iterations.
        name: Name of the picture.

    Raises:
        ValueError: If a number is not positive.
    """

    priority = 'BELOW_NORMAL'

    def __init__(self, interval: int = 10, num_images: int = 16, seed: int = 0,
                 sampler: dict | None = None, by_epoch: bool = True,
                 name: str = 'generated') -> None:
        if min(interval, num_images) < 1:
            raise ValueError('GenerationPreviewHook needs positive numbers, got '
                             f'{interval=}, {num_images=}.')
        self.interval = interval
        self.num_images = num_images
        self.seed = seed
        self.sampler = sampler
        self.by_epoch = by_epoch
        self.name = name

    def before_train(self, runner: Runner) -> None:
        """Stop now, not after the first epochs, if the model cannot generate."""
        self._generator(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw, if it is an epoch's turn."""
        due = self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        if self.by_epoch and due:
            self._draw(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict | None = None) -> None:
        """Draw, if it is an iteration's turn."""
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        if not self.by_epoch and due:
            self._draw(runner)

    def _draw(self, runner: Runner) -> None:
        # A sharded model computes only if all processes do.
        if not is_main_process() and not isinstance(runner.model, FSDPModule):
            return
        was_training = runner.model.training
        runner.model.eval()
        try:
            result = self._generator(runner).generate(range(self.num_images), self.seed)
        finally:
            runner.model.train(was_training)
        if not is_main_process():
            return
        columns = math.ceil(math.sqrt(self.num_images))
        grid = make_grid(result.images.float().cpu(), nrow=columns, pad_value=1.)
        runner.visualizer.add_image(self.name, to_pixels(grid[None])[0].numpy(), step=runner.iter)

    def _generator(self, runner: Runner) -> ImageGenerator:
        return TASK_UTILS.build(dict(
            type='ImageGenerator', model=unwrapped(runner.model), sampler=self.sampler))
