"""Time and memory of finding very many images: ours, and mmpretrain's data set as it is.

The storage is simulated: a backend of mmengine that lists a thousand folders of names such as
n00000017/n00000017_0000123.JPEG, and holds no image. Reading the folders of a real disk comes on
top. Each variant runs in a process of its own, whose highest memory counts, libraries included.

    python benchmarks/image_names.py --num-images 10000000 --out image_names.json
    python benchmarks/image_names.py --num-images 1000000 --variants ours plain
"""
from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measuring
from mmengine.fileio import BaseStorageBackend, register_backend

ROOT = 'simulated://images'
NUM_FOLDERS = 1000
VARIANTS = ('ours', 'plain')


class SimulatedFolders(BaseStorageBackend):
    """A storage of ``num_images`` names in a thousand folders."""

    num_images = 0

    def get(self, filepath: str) -> bytes:
        """There are no images."""
        raise FileNotFoundError(filepath)

    get_text = get

    def join_path(self, first: str, *others: str) -> str:
        """Join parts of a path."""
        return '/'.join([first.rstrip('/'), *others])

    def list_dir_or_file(self, dir_path: str, list_dir: bool = True, list_file: bool = True,
                         suffix: str | None = None, recursive: bool = False) -> Iterator[str]:
        """The folders of the root, or the files of one of them or of all."""
        folder = dir_path.removeprefix(ROOT).strip('/')
        for name in [folder] if folder else [f'n{i:08d}' for i in range(NUM_FOLDERS)]:
            if list_dir and not folder:
                yield name
            if list_file and (folder or recursive):
                prefix = '' if folder else f'{name}/'
                count = self.num_images // NUM_FOLDERS
                yield from (f'{prefix}{name}_{i:07d}.JPEG' for i in range(count))


def parse_args(args: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--num-images', type=int, default=10_000_000, help='(default: %(default)s)')
    parser.add_argument('--labels', action='store_true', help='take the folders as classes')
    parser.add_argument('--variants', nargs='+', choices=VARIANTS, default=['ours'],
                        help='plain needs about 1 GB for a million (default: %(default)s)')
    parser.add_argument('--only', choices=VARIANTS, help=argparse.SUPPRESS)
    parser.add_argument('--out', type=Path, help='JSON file for the numbers')
    return parser.parse_args(args)


def scan(variant: str, num_images: int, with_label: bool) -> dict[str, Any]:
    """Build the data set in this process."""
    from mmpretrain.datasets import CustomDataset

    from addp_mm.datasets import ImageFolder
    SimulatedFolders.num_images = num_images
    register_backend('simulated', SimulatedFolders, prefixes='simulated')
    before = highest_memory()
    wall, processor = time.perf_counter(), time.process_time()
    kind = ImageFolder if variant == 'ours' else CustomDataset
    dataset = kind(data_root=ROOT, with_label=with_label, extensions=('.jpeg', ))
    return dict(images=len(dataset), seconds=time.perf_counter() - wall,
                processor_seconds=time.process_time() - processor, gb_before=before,
                gb=highest_memory(), last=dataset.get_data_info(len(dataset) - 1)['img_path'])


def highest_memory() -> float:
    """Of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main(args: list[str] | None = None) -> None:
    """Measure and print."""
    options = parse_args(args)
    if options.only:
        print(json.dumps(scan(options.only, options.num_images, options.labels)))
        return
    result: dict[str, Any] = dict(machine=measuring.describe_machine('cpu'))
    for variant in options.variants:
        words = ['--only', variant, '--num-images', str(options.num_images)]
        done = subprocess.run([sys.executable, __file__, *words, *['--labels'] * options.labels],
                              check=True, text=True, stdout=subprocess.PIPE)
        found = result[variant] = json.loads(done.stdout.splitlines()[-1])
        print('{}: {:,} images, {:.1f} s ({:.1f} s of the processor), {:.2f} GB, of which {:.2f} '
              'GB before; the last one is {}'.format(variant, *list(found.values())[:3],
                                                    found['gb'], found['gb_before'],
                                                    found['last']), flush=True)
    measuring.write_json(result, options.out)


if __name__ == '__main__':
    main()
