"""Draw what a model generates: samples, the steps of one of them, and its token embeddings.

    python tools/visualization/view_generation.py CONFIG CHECKPOINT --out FOLDER

writes samples.png, steps.png and embeddings.png (paper Fig. 7, 8 and 16).
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import build_inferencer, draw
from addp_mm.cli.arguments import (
    add_model_arguments,
    add_sampler_arguments,
    model_options,
    sampler_options,
)
from addp_mm.cli.run import run


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, help='folder for the pictures')
    parser.add_argument('--num-images', type=int, default=16, help='(default: %(default)s)')
    add_sampler_arguments(parser)
    return parser.parse_intermixed_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the pictures."""
    args = parse_args(words)
    draw(build_inferencer(**model_options(args)), args.out, args.num_images, args.seed,
         args.batch_size, **sampler_options(args))


if __name__ == '__main__':
    sys.exit(run(main))
