"""The loop of pre-training: mmengine's against the one whose frozen parts are a batch ahead.

A real runner with its hooks and data loader trains ``ours`` (see variants.py) on random images that
are in memory already. The loops run in turns, each time for two epochs, of which the second is
timed. On a CPU there is nothing to gain: it has no second stream.

    python benchmarks/train_loop.py --device cuda --arch large --batch-size 64 --out train_loop.json
"""
from __future__ import annotations

import argparse
import itertools
import tempfile
from typing import Any

import measuring
import torch
import variants
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from addp_mm.apis.generation_speed import Stopwatch

LOOPS = ('EpochBasedTrainLoop', 'AheadTrainLoop')
_numbers = itertools.count()


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants.add_model_arguments(parser, batch_size=4)
    variants.add_device_argument(parser)
    parser.add_argument('--iterations', type=int, default=20, help='of an epoch (default: 20)')
    return parser.parse_args(args)


class RandomImages(Dataset):
    """Random images (3, H, W) uint8.

    Args:
        count: How many.
        size: (H, W).
    """

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(256, (16, 3, *size), dtype=torch.uint8, generator=generator)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        return dict(inputs=self.images[index % len(self.images)])


class EpochTimer(Hook):
    """Takes the time of the latest epoch.

    Args:
        device: Where the training is.
    """

    def __init__(self, device: str) -> None:
        self.watch = Stopwatch(torch.device(device))

    def before_train_epoch(self, runner: Runner) -> None:
        """Start."""
        self.start = self.watch.now()

    def after_train_epoch(self, runner: Runner) -> None:
        """Stop."""
        self.seconds = self.watch.now() - self.start


def seconds_of(loop: str, model: torch.nn.Module, args: argparse.Namespace) -> measuring.Parts:
    """Train for two epochs; the seconds of an iteration in the second."""
    size = model.data_preprocessor.image_size
    timer, settings = EpochTimer(args.device), variants.read_config_file(args)
    optim_wrapper = {**settings.optim_wrapper, 'accumulative_counts': 1}
    with tempfile.TemporaryDirectory() as folder:
        Runner(
            model, folder, experiment_name=f'train_loop{next(_numbers)}', log_level='WARNING',
            train_dataloader=dict(
                dataset=RandomImages(args.iterations * args.batch_size, size),
                batch_size=args.batch_size, num_workers=0, pin_memory=args.device != 'cpu',
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='default_collate')),
            train_cfg=dict(type=loop, max_epochs=2), optim_wrapper=optim_wrapper,
            default_hooks=dict(checkpoint=None), default_scope='mmpretrain',
            custom_hooks=[timer, dict(type='SeedIterationHook')]).train()
    return dict(iteration=timer.seconds / args.iterations)


def compare(args: argparse.Namespace) -> dict[str, Any]:
    """Both loops on one model."""
    model = variants.build('ours', args, variants.dtype_of('ours', args))
    runs = {loop: (lambda loop=loop: seconds_of(loop, model, args)) for loop in LOOPS}
    seconds = {k: v['iteration'] for k, v in measuring.in_turns(runs, args.rounds).items()}
    return dict(machine=measuring.describe_machine(args.device), arch=args.arch,
                batch_size=args.batch_size, seconds=seconds,
                ratio=seconds[LOOPS[0]] / seconds[LOOPS[1]])


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what --out names."""
    args = parse_args(args)
    with variants.frozen_weights(args):
        result = compare(args)
    print(result['machine'])
    for loop, seconds in result['seconds'].items():
        print(f'{loop}: {seconds:.4f} s an iteration, {args.batch_size / seconds:.1f} images/s')
    print(f'ahead: {result["ratio"]:.2f} times as fast')
    measuring.write_json(result, args.out)
    return result


if __name__ == '__main__':
    main()
