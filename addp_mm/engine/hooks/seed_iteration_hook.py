"""Random draws that depend on the iteration only, not on what was drawn before."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner, set_random_seed
from torch.utils.data import Sampler

from ...datasets.numbered_sampler import NumberedSampler, number_indices
from ...datasets.transforms import SeedTransforms
from ...registry import HOOKS


@HOOKS.register_module()
class SeedIterationHook(Hook):
    """Makes a resumed run draw what the uninterrupted one would have drawn.

    Before each iteration it seeds torch (all devices), numpy and ``random`` from the run's seed,
    the iteration and the rank: masks, mask ratios and dropout follow from these three. The order
    of the images follows from seed and epoch, and so does their augmentation: a pipeline without
    ``SeedTransforms`` gets it as its first step, whichever library its transforms are of.
    """

    priority = 'LOWEST'     # after every other hook that might draw

    def before_train(self, runner: Runner) -> None:
        """Give the sampler the seed of the run, which a resumed run takes from its checkpoint."""
        if not hasattr(runner.train_dataloader, 'batch_sampler'):
            return      # the stand-in of mmpretrain's vis_scheduler draws nothing
        configured = runner.cfg.get('train_dataloader', {}).get('sampler') or {}
        for pipeline in _pipelines(runner):
            if not any(isinstance(step, SeedTransforms) for step in pipeline):
                pipeline.insert(0, SeedTransforms())
        sampler = _sampler(runner)
        if sampler is not None and hasattr(sampler, 'seed') and 'seed' not in configured:
            sampler.seed = _shared_seed(runner)
        if not _each_once(runner):
            numbered = number_indices(runner.train_dataloader)
            # Such a sampler, and with it its numbers, is brought forward by the loop itself.
            if hasattr(sampler, 'skip') and not _by_epoch(runner):
                numbered.first = runner.iter * _batch_size(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Tell the transforms of the training data which epoch this is."""
        once, epoch = _each_once(runner), runner.epoch if _by_epoch(runner) else 0
        if not once and _by_epoch(runner):
            number_indices(runner.train_dataloader).first = 0
        for pipeline in _pipelines(runner):
            for transform in pipeline:
                if isinstance(transform, SeedTransforms):
                    transform.start_epoch(_shared_seed(runner), epoch, runner.rank, once)

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


def _sampler(runner: Runner) -> Sampler | None:
    """The sampler of single images: with a batch sampler the loader's own is a stand-in."""
    loader = runner.train_dataloader
    sampler = getattr(getattr(loader, 'batch_sampler', None), 'sampler', None) or getattr(
        loader, 'sampler', None)
    return sampler.sampler if isinstance(sampler, NumberedSampler) else sampler


def _by_epoch(runner: Runner) -> bool:
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


def _each_once(runner: Runner) -> bool:
    """Whether no image comes twice in an epoch."""
    dataset = runner.train_dataloader.dataset
    return (_by_epoch(runner) and isinstance(_sampler(runner), DefaultSampler)
            and len(dataset) <= sum(len(leaf) for leaf in _leaves(dataset)))


def _batch_size(runner: Runner) -> int:
    loader = runner.train_dataloader
    return loader.batch_size or loader.batch_sampler.batch_size


def _pipelines(runner: Runner) -> Iterator[list]:
    """The transforms of every data set of the training."""
    for leaf in _leaves(runner.train_dataloader.dataset):
        transforms = getattr(getattr(leaf, 'pipeline', None), 'transforms', None)
        if transforms is not None:
            yield transforms


def _leaves(dataset: Any) -> Iterator[Any]:
    """The data sets inside wrappers such as ``ConcatDataset`` or ``KFoldDataset``."""
    inner = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    if inner == [None]:
        yield dataset
    else:
        for part in inner:
            yield from _leaves(part)
