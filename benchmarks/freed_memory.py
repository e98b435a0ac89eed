"""A training step on a CPU whose freed memory goes back to the system, and one that keeps it.

What malloc does is a property of the process: each kind has processes of its own, in turns, which
train ``ours`` (see variants.py) for some steps. The first step of a process is not timed.

    OMP_NUM_THREADS=2 python benchmarks/freed_memory.py --out freed_memory.json
"""
from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import measuring
import variants
from pretraining_step import Step

from addp_mm.apis.freed_memory import keep_freed_memory

KINDS = ('given back', 'kept')


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    variants.add_model_arguments(parser, batch_size=4)
    parser.add_argument('--steps', type=int, default=3, help='of each process (default: 3)')
    parser.add_argument('--frozen', type=Path, help=argparse.SUPPRESS)
    parser.add_argument('--process', choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args(args)
    args.device, args.mask_ratio = 'cpu', variants.MEAN_MASK_RATIO
    return args


def train(args: argparse.Namespace) -> dict[str, float]:
    """Train in this process.

    Returns:
        Of a step: ``seconds`` of the fastest, ``page_faults`` on average. Of the process: ``peak``
        memory in GB.
    """
    if args.process == 'kept' and not keep_freed_memory():
        raise RuntimeError('The memory is not kept: this needs glibc, and no MALLOC_... or '
                           'GLIBC_TUNABLES in the environment.')
    step = Step('ours', args)
    step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    seconds = [sum(step().values()) for _ in range(args.steps)]
    used = resource.getrusage(resource.RUSAGE_SELF)
    return dict(seconds=min(seconds), page_faults=(used.ru_minflt - before) / args.steps,
                peak=used.ru_maxrss * 1024 / 1e9)


def compare(args: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Run the processes in turns; of each kind the fastest one counts."""
    runs: dict[str, list] = {kind: [] for kind in KINDS}
    for _ in range(args.rounds):
        for kind, results in runs.items():
            words = [*arguments, '--frozen', str(args.frozen), '--process', kind]
            done = subprocess.run([sys.executable, __file__, *words], check=True, text=True,
                                  stdout=subprocess.PIPE)
            results.append(json.loads(done.stdout.splitlines()[-1]))
    best = {kind: min(rows, key=lambda row: row['seconds']) for kind, rows in runs.items()}
    return dict(machine=measuring.describe_machine('cpu'), arch=args.arch, results=best,
                ratio=best['given back']['seconds'] / best['kept']['seconds'])


def main(arguments: list[str] | None = None) -> dict[str, Any] | None:
    """Measure, print, and write what --out names."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = parse_args(arguments)
    if args.process:
        print(json.dumps(train(args)))
        return None
    with variants.frozen_weights(args):
        result = compare(args, arguments)
    print(result['machine'])
    for kind, row in result['results'].items():
        print(f'{kind}: {row["seconds"]:.3f} s a step, {row["page_faults"] / 1e3:.0f} thousand '
              f'page faults in it, peak memory {row["peak"]:.2f} GB')
    print(f'kept: {result["ratio"]:.2f} times as fast')
    measuring.write_json(result, args.out)
    return result


if __name__ == '__main__':
    main()
