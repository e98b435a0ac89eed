"""Write a folder of images into one LMDB database, from which trainings read the same images.

  python tools/pack_images.py data/imagenet/train data/imagenet/train.lmdb

Files are taken as they are, and in the same order. The same command goes on where it was stopped;
the database gets its name when it is whole. Linked files and folders are followed.
"""
from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from addp_mm.cli.progress import progress_bar
from addp_mm.cli.run import run
from addp_mm.datasets import ImageFolder
from addp_mm.datasets.lmdb_folder import ENDING, SCHEME, count, pack, source_note


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='folder of the images')
    parser.add_argument('out', type=Path, help=f'the database, a new file that ends in {ENDING}')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the database, and say how to use it."""
    args = parse_args(words)
    if args.out.suffix != ENDING:
        raise ValueError(f'OUT must end in {ENDING}, got {args.out}.')
    if args.out.exists():
        raise ValueError(f'{args.out} is there already: remove it, or name another file.')
    images = ImageFolder(data_root=str(args.folder)).data_list
    partial = args.out.with_name(f'.{args.out.name}.partial')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar('images') as bar:
        for done in pack(args.folder, map(images.name, range(len(images))), partial):
            bar(done, len(images))
    if count(partial) != len(images):
        raise ValueError(f'{partial} has {count(partial)} files, the folder {len(images)} images: '
                         'it was begun with others. Remove it, and run the same command again.')
    for leftover in (Path(f'{partial}-lock'), source_note(partial)):
        leftover.unlink(missing_ok=True)
    os.replace(partial, args.out)
    print(f'{len(images)} images, {args.out.stat().st_size / 1e9:.3f} GB: {args.out}')
    print(f'To train on them: --cfg-options train_dataloader.dataset.data_root={SCHEME}{args.out} '
          'train_dataloader.dataset.data_prefix=')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
