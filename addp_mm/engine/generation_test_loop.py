"""A test that generates images instead of reading them."""
from __future__ import annotations

import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import Runner, TestLoop
from mmengine.runner.amp import autocast
from torch.utils.data import DataLoader, Dataset

from ..generation import as_saved
from ..models.layers import FrozenModule
from ..registry import DATASETS, LOOPS, TASK_UTILS
from .unwrapped import unwrapped


@DATASETS.register_module()
class ImageIndices(Dataset):
    """Numbers 0 to ``num_images`` - 1, which a data loader divides among batches and processes.

    Args:
        num_images: How many, at least 1.

    Raises:
        ValueError: If ``num_images`` is less.
    """

    metainfo: dict = {}

    def __init__(self, num_images: int) -> None:
        if num_images < 1:
            raise ValueError(f'num_images must be at least 1, got {num_images}.')
        self.num_images = num_images

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> dict[str, int]:
        """Return ``index`` under its name."""
        return dict(index=index)


@LOOPS.register_module()
class GenerationTestLoop(TestLoop):
    """mmengine's test loop over generated images.

    The data loader reads an ``ImageIndices`` and divides the numbers among processes; image i is
    the same for any batch size and number of processes. Metrics get for each image ``generated``,
    (3, H, W) uint8.

    Args:
        runner: The runner.
        dataloader: Data loader of an ``ImageIndices``, or its config.
        evaluator: Evaluator, or its config.
        sampler: Arguments of ``DenoisingSampler`` that differ from the model's own.
        seed: Seed of the images.
        fp16: Generate under autocast. Otherwise all runs in float32, as in ``generate.py``,
            whatever the frozen parts train in.

    Raises:
        ValueError: If the model cannot generate, or the sampler does not fit it.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict,
                 evaluator: Evaluator | dict | list, sampler: dict | None = None, seed: int = 0,
                 fp16: bool = False) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        if not fp16:
            for module in runner.model.modules():
                if isinstance(module, FrozenModule):
                    module.dtype = torch.float32
        self.generator = TASK_UTILS.build(
            dict(type='ImageGenerator', model=unwrapped(runner.model), sampler=sampler))
        self.seed = seed

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict) -> None:
        """Generate and measure one batch.

        Args:
            idx: Number of the batch.
            data_batch: ``index``: numbers of the images.
        """
        self.runner.call_hook('before_test_iter', batch_idx=idx, data_batch=data_batch)
        with autocast(enabled=self.fp16):
            indices = [int(index) for index in data_batch['index']]
            images = self.generator.generate(indices, self.seed).images
        outputs = [dict(generated=image) for image in as_saved(images)]
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        self.runner.call_hook('after_test_iter', batch_idx=idx, data_batch=data_batch,
                              outputs=outputs)
