"""Generate images: ``python tools/generate.py CONFIG CHECKPOINT --out FOLDER``.

The images are numbered: image i of a seed is the same in any batch size and on any number of
processes. The same command goes on where it was stopped. With several processes, for example one
for each GPU: ``torchrun --nproc-per-node 8 tools/generate.py ...``.
"""
from __future__ import annotations

import argparse
import sys

from addp_mm.apis.generate import add_model_arguments, add_sampler_arguments, generate
from addp_mm.apis.launch import LAUNCHERS, run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
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
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none',
                        help='what started the processes; torchrun is seen without it')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0,
                        help='number of the process on its machine')
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(run_tool(generate, parse_args()))
