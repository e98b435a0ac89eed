"""Random draws that depend on the iteration only, not on what was drawn before."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed
from torch.utils.data import Sampler

from ...registry import HOOKS, TRANSFORMS


@HOOKS.register_module()
class SeedIterationHook(Hook):
    """Makes a resumed run draw what the uninterrupted one would have drawn.

    Before each iteration it seeds torch (all devices), numpy and ``random`` from the run's seed,
    the iteration and the rank: masks, mask ratios and dropout follow from these three. The order
    of the images follows from seed and epoch, and so does their augmentation, if the pipeline
    starts with ``SeedTransforms``.

    Exact for an epoch-based loop that resumes at the end of an epoch. In an iteration-based loop,
    and where an image can come twice in an epoch (``RepeatDataset``, repeated augmentation), the
    augmentation depends on the number of workers too; an iteration-based loop draws others after
    it was resumed.
    """

    priority = 'LOWEST'     # after every other hook that might draw

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed of the run, which a resumed run takes from its checkpoint."""
        configured = runner.cfg.get('train_dataloader', {}).get('sampler') or {}
        sampler = _sampler(runner)
        if hasattr(sampler, 'seed') and 'seed' not in configured:
            sampler.seed = _shared_seed(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the transforms of the training data which epoch this is."""
        dataset = runner.train_dataloader.dataset
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        leaves = list(_leaves(dataset))
        once = (by_epoch and isinstance(_sampler(runner), DefaultSampler)
                and len(dataset) <= sum(len(leaf) for leaf in leaves))
        seed_transforms = TRANSFORMS.get('SeedTransforms')
        for leaf in leaves:
            for transform in getattr(getattr(leaf, 'pipeline', None), 'transforms', []):
                if isinstance(transform, seed_transforms):
                    transform.start_epoch(
                        _shared_seed(runner), runner.epoch if by_epoch else runner.iter,
                        runner.rank, once)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed every default generator of this process."""
        self.seed(runner, runner.iter)

    def seed(self, runner: Runner, iteration: int) -> None:
        """Seed them for an iteration; a loop that prepares batches ahead asks for it too."""
        sequence = np.random.SeedSequence((_shared_seed(runner), iteration, runner.rank))
        set_random_seed(int(sequence.generate_state(1)[0]))


def _shared_seed(runner: Runner) -> int:
    """The seed without the rank, which ``randomness.diff_rank_seed`` adds to it."""
    return runner.seed - runner.rank * bool(runner._randomness_cfg.get('diff_rank_seed'))


def _sampler(runner: Runner) -> Sampler:
    """The sampler of single images: with a batch sampler the loader's own is a stand-in."""
    loader = runner.train_dataloader
    return getattr(loader.batch_sampler, 'sampler', loader.sampler)


def _leaves(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers such as ``ConcatDataset`` or ``KFoldDataset``."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from _leaves(part)
