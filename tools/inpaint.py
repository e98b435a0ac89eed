"""Replace a part of an image, or continue it beyond its borders (paper App. E).

    python tools/inpaint.py CONFIG CHECKPOINT photo.jpg --mask mask.png --out edits
    python tools/inpaint.py CONFIG CHECKPOINT photo.jpg --outpaint 0 0 256 0 --out edits
    python tools/inpaint.py CONFIG CHECKPOINT photo.jpg --uncrop 2 --out edits

Images may have any size. In the mask, white (above 127) is replaced and black is kept; a mask of
another size must have the image's proportions.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import build_inferencer, edit
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
    parser.add_argument('image', help='picture to edit')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('--mask', help='picture, white where the image is to be replaced')
    what.add_argument('--outpaint', type=int, nargs=4, metavar=('LEFT', 'TOP', 'RIGHT', 'BOTTOM'),
                      help='pixels to add on each side')
    what.add_argument('--uncrop', type=float, metavar='SCALE',
                      help='add on all sides, so that they become so many times as long')
    parser.add_argument('--prior', help='picture of the size of the image: what the first step '
                                        'sees where the mask is white (default: a mean colour)')
    parser.add_argument('--num-samples', type=int, default=4,
                        help='number of results (default: %(default)s)')
    parser.add_argument('--blend', choices=['soft', 'hard'], default='soft',
                        help='soft: results fade into the image around the mask; hard: no pixel '
                             'outside of the mask changes (default: %(default)s)')
    parser.add_argument('--blend-width', type=float, metavar='PIXELS',
                        help="standard deviation of the fading in pixels of the model's images "
                             '(default: 1/16 of their shorter side less 1)')
    parser.add_argument('--rescale', action='store_true',
                        help='take all steps, the schedule scaled by the masked share, instead of '
                             'starting at the step that fits it')
    parser.add_argument('--out', type=Path, required=True,
                        help='folder for <image>_0.png ... and an overview, <image>_edits.png')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace existing files, and remove the other results of an earlier '
                             'run')
    add_sampler_arguments(parser)
    return parser.parse_intermixed_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the results."""
    args = parse_args(words)
    edit(build_inferencer(**model_options(args)), args.image, args.out, args.mask, args.outpaint,
         args.uncrop, args.prior, args.num_samples, args.seed, args.batch_size, args.overwrite,
         **sampler_options(args), rescale=args.rescale, blend=args.blend,
         blend_width=args.blend_width)


if __name__ == '__main__':
    sys.exit(run(main))
