"""Write the small data set for detection and segmentation: handwritten digits on photographs.

    python tools/make_digit_scenes.py

COCO's format for mmdet and ADE20K's for mmseg, over one set of images; needs scikit-learn only.
"""
from __future__ import annotations

import argparse
import sys

from addp_mm.cli.run import run
from addp_mm.datasets import write_digit_scenes


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description='Compose scikit-learn\'s handwritten digits onto its sample photographs',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out', default='work_dirs/digits/scenes', help='where they go')
    parser.add_argument('--image-size', type=int, default=96, help='height and width in pixels')
    parser.add_argument('--num-training', type=int, default=500, help='number of training scenes')
    parser.add_argument('--num-validation', type=int, default=150,
                        help='number of validation scenes')
    parser.add_argument('--seed', type=int, default=0, help='of the random draws')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the scenes."""
    args = parse_args(words)
    if args.seed < 0:
        raise ValueError(f'--seed must be at least 0, got {args.seed}.')
    write_digit_scenes(args.out, args.image_size, args.num_training, args.num_validation, args.seed)


if __name__ == '__main__':
    sys.exit(run(main))
