"""Generate images: ``python tools/generate.py CONFIG CHECKPOINT --out FOLDER``.

The images are numbered: image i of a seed is the same in any batch size and on any number of
processes. The same command goes on where it was stopped. With several processes, for example one
for each GPU: ``torchrun --nproc-per-node 8 tools/generate.py ...``.
"""
from __future__ import annotations

import argparse
import sys

from addp_mm.apis.generate import build_inferencer, connect_processes, generate
from addp_mm.cli.arguments import (
    add_launcher_arguments,
    add_model_arguments,
    add_sampler_arguments,
    model_options,
    sampler_options,
    set_local_rank,
)
from addp_mm.cli.progress import progress_bar
from addp_mm.cli.run import run


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    parser.add_argument('--out', required=True,
                        help='folder for 000000.png, 000001.png ..., or one .npz file')
    parser.add_argument('--num-images', type=int, default=50000, help='(default: %(default)s)')
    add_sampler_arguments(parser)
    parser.add_argument('--save-steps', action='store_true',
                        help='also draw the steps of each image, into the folder steps/')
    parser.add_argument('--overwrite', action='store_true',
                        help='remove the images of another run in --out')
    add_launcher_arguments(parser, 'what started the processes; torchrun is seen without it')
    return parser.parse_intermixed_args(words)


def main(words: list[str] | None = None) -> None:
    """Generate the images that are not there yet."""
    args = parse_args(words)
    set_local_rank(args)
    connect_processes(args.launcher)
    inferencer = build_inferencer(**model_options(args))
    with progress_bar('Generating') as bar:
        generate(inferencer, args.out, args.num_images, args.seed, args.batch_size,
                 args.save_steps, args.overwrite, bar, **sampler_options(args))


if __name__ == '__main__':
    sys.exit(run(main))
