"""Measure how fast images are generated, and which part takes how much of the time.

python tools/benchmark_generation.py CONFIG CHECKPOINT --num-steps 4 8 12 20
"""
from __future__ import annotations

import argparse
import sys

from addp_mm.apis.generate import build_inferencer
from addp_mm.apis.generation_speed import PARTS, measure_generation
from addp_mm.cli.arguments import (
    add_model_arguments,
    add_sampler_arguments,
    model_options,
    sampler_options,
)
from addp_mm.cli.run import run
from addp_mm.whole_numbers import check_positive


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    add_sampler_arguments(parser)
    parser.add_argument('--num-steps', type=int, nargs='+', metavar='N',
                        help='measure each of these numbers of steps (default: that of --steps)')
    parser.add_argument('--repeats', type=int, default=3,
                        help='timed batches for each (default: %(default)s)')
    return parser.parse_intermixed_args(words)


def main(words: list[str] | None = None) -> None:
    """Print a line for each number of steps."""
    args = parse_args(words)
    check_positive(batch_size=args.batch_size, repeats=args.repeats)
    inferencer, sampler = build_inferencer(**model_options(args)), sampler_options(args)
    counts = args.num_steps or [inferencer.generator(**sampler).schedule.num_steps]
    for count in counts:        # refuse before the first is measured
        inferencer.generator(**{**sampler, 'num_steps': count})
    print(f'{inferencer.device}, {args.dtype}, batches of {args.batch_size}')
    print(f'{"steps":>6} {"images/s":>9} ' + ' '.join(f'{name:>12}' for name in PARTS))
    for count in counts:
        found = measure_generation(inferencer, args.batch_size, args.repeats,
                                   **{**sampler, 'num_steps': count})
        shares = ' '.join(f'{found[name]:12.1%}' for name in PARTS)
        print(f'{count:6d} {found["images_per_second"]:9.3g} {shares}', flush=True)


if __name__ == '__main__':
    sys.exit(run(main))
