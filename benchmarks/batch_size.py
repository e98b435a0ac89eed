"""Speed and memory of a training step by the size of its batch, until the memory is full.

The step is ``ours`` of pretraining_step.py, once as it is and once with activation checkpointing.
The memory is the most that the process had: of a GPU, what its tensors took.

    python benchmarks/batch_size.py --device cuda --arch large --batches 32 64 128 256 512
"""
from __future__ import annotations

import argparse
import gc
from collections.abc import Iterator
from typing import Any

import measuring
import torch
import variants
from mmengine.runner import turn_on_activation_checkpointing
from pretraining_step import Step


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants.add_model_arguments(parser, batch_size=1)
    variants.add_device_argument(parser)
    parser.add_argument('--batches', type=int, nargs='+', default=[2, 4], help='default: 2 4')
    args = parser.parse_args(args)
    args.mask_ratio = variants.MEAN_MASK_RATIO
    return args


def rows(args: argparse.Namespace, checkpointing: bool) -> Iterator[dict[str, Any]]:
    """Yield one row for each batch; the one that does not fit is the last."""
    step = Step('ours', args)
    if checkpointing:
        turn_on_activation_checkpointing(step.model, [
            f'{part}.layers.{i}' for part in ('backbone', 'neck')
            for i in range(len(getattr(step.model, part).layers))])
    for size in args.batches:
        row = dict(batch_size=size, checkpointing=checkpointing)
        try:
            step.use_batch(size)
            step.warm_up()
            with measuring.PeakMemory(args.device) as memory:
                best = measuring.in_turns(dict(step=step), args.rounds)['step']
        except torch.OutOfMemoryError:
            yield row | dict(fits=False)
            return
        yield row | dict(fits=True, images_per_second=size / sum(best.values()),
                         memory_gb=memory.peak / 1e9)


def main(args: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write what --out names."""
    args = parse_args(args)
    torch.backends.cudnn.allow_tf32 = False
    result = dict(machine=measuring.describe_machine(args.device), arch=args.arch, rows=[])
    print(result['machine'])
    with variants.frozen_weights(args):
        for checkpointing in (False, True):
            for row in rows(args, checkpointing):
                result['rows'].append(row)
                print(_line(row), flush=True)
                measuring.write_json(result, args.out)
            gc.collect()
            if torch.device(args.device).type == 'cuda':
                torch.cuda.empty_cache()
    return result


def _line(row: dict[str, Any]) -> str:
    name = f'batch {row["batch_size"]}{", checkpointing" if row["checkpointing"] else ""}'
    if not row['fits']:
        return f'{name}: does not fit'
    return f'{name}: {row["images_per_second"]:.1f} images/s, {row["memory_gb"]:.2f} GB'


if __name__ == '__main__':
    main()
