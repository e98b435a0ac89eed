r"""Labelled objects as mmdet and mmseg read them: COCO files and maps of classes.

Three layouts are read: label images of the same names as the images (0 background, another value
for each object), a file in COCO's format, and, without LABELS, a folder of folders that each hold
images/ (one picture) and masks/ (one mask an object: 0 and another value). For example

  python tools/prepare_annotations.py data/nuclei/images data/nuclei/instances \
      --category nucleus --out data/nuclei/annotations
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.cli.run import run
from addp_mm.own_images.annotations import write_annotations
from addp_mm.own_images.dense_configs import write_dense_configs
from addp_mm.own_images.labels import CATEGORY, read_labels
from addp_mm.own_images.next_steps import dense_commands


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', type=Path, help='folder of the images')
    parser.add_argument('labels', type=Path, nargs='?',
                        help='folder of label images, or a file in COCO\'s format')
    parser.add_argument('--out', type=Path, required=True, help='where the annotations go')
    parser.add_argument('--category', default=CATEGORY,
                        help='name of the objects where the labels have none (default: '
                             '%(default)s)')
    parser.add_argument('--components', action='store_true',
                        help='each separate place of a label image is an object, whatever its '
                             'value: for masks of all objects together')
    parser.add_argument('--held-out', type=Path, metavar='LIST',
                        help='the images to validate with, one path a line, such as held_out.txt '
                             'of tools/train_from_folder.py (default: what index.json beside the '
                             'images says, or a tenth)')
    parser.add_argument('--pretrained', type=Path, metavar='OUT',
                        help='also write configs of Mask R-CNN and UperNet that start from what '
                             'tools/train_from_folder.py trained there')
    parser.add_argument('--stretch', action='store_true',
                        help='these configs stretch grey images to their range, each by itself, '
                             'also where the pre-training did not: for dark ones')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Read the labels, write them in both forms, and say what to do with them."""
    args = parse_args(words)
    if args.stretch and not args.pretrained:
        raise ValueError('--stretch is for the configs that --pretrained writes: name both.')
    found = read_labels(args.images, args.labels, args.category, args.components)
    settings = dict(images=str(args.images.absolute()),
                    labels=str(args.labels and args.labels.absolute()), category=args.category,
                    components=args.components,
                    held_out=str(args.held_out and args.held_out.absolute()))
    write_annotations(found, args.out, args.held_out, settings, say)
    say(f'{len(found.images)} images with {len(found.annotations)} objects '
        f'({", ".join(category["name"] for category in found.categories)}): {args.out}')
    for note in found.notes:
        say(f'  {note}')
    if args.pretrained:
        configs = write_dense_configs(found, args.out, args.pretrained, args.stretch)
        for line in dense_commands(Path(__file__).parent, configs):
            say(line)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == '__main__':
    sys.exit(run(main))
