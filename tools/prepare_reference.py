"""Make the reference set of FID: ``python tools/prepare_reference.py data/imagenet/val OUT``.

Each image is resized (shorter side to 256 pixels, bilinear), cropped in the middle and written as
PNG, as the reference protocol does. Run the same command again after an interruption.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.cli.progress import progress_bar
from addp_mm.cli.run import run
from addp_mm.evaluation.reference_set import prepare_reference


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', type=Path, help="folder of images, for example ImageNet's "
                        'validation images, with or without a folder for each class')
    parser.add_argument('out', type=Path, help='folder of the PNG files, new or half done')
    parser.add_argument('--size', type=int, default=256,
                        help='side of the images in pixels (default: %(default)s)')
    parser.add_argument('--threads', type=int, help='images at a time (default: CPU cores)')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the set and print where it is."""
    args = parse_args(words)
    if args.threads is not None and args.threads < 1:
        raise ValueError(f'--threads must be at least 1, got {args.threads}.')
    with progress_bar('reference set') as bar:
        count = prepare_reference(args.source, args.out, args.size, args.threads, bar)
    print(f'{count} images of {args.size} x {args.size} pixels in {args.out}')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
