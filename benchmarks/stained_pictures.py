"""The pictures of stained tissue among labelled pictures of nuclei, for the study of pre-trainings.

Most nuclei are bright on a dark ground; stained tissue fills the range of values. A picture is
taken for stained where the largest of its three channels is on average more than 5 of 255 above
the smallest.

    python benchmarks/stained_pictures.py data/nuclei data/nuclei_stained
    python tools/prepare_annotations.py data/nuclei_stained/images data/nuclei_stained/instances \
        --category nucleus --out data/nuclei_stained/annotations
    python tools/run_dense_study.py --data data/nuclei_stained --times 6 \
        --records RECORDS --work-dir RUNS
"""
from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress

from addp_mm.datasets.image_reader import read_pixels

COLOUR = 5  # of 255


def main(words: list[str] | None = None) -> None:
    """Copy the stained pictures, their label images and their entries in the index."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='folder with images, instances and, if there '
                        'is one, an index.json of the parts')
    parser.add_argument('out', type=Path, help='folder of the copies, which must not exist')
    args = parser.parse_args(words)
    pictures = sorted((args.data / 'images').iterdir())
    stained = [path for path in track_iter_progress(pictures) if is_stained(read_pixels(path))]
    for name in ('images', 'instances'):
        (args.out / name).mkdir(parents=True)
        for path in stained:
            shutil.copy(args.data / name / path.name, args.out / name)
    index = args.data / 'index.json'
    if index.is_file():
        ids = {int(path.stem) for path in stained}
        kept = [picture for picture in json.loads(index.read_text()) if picture['id'] in ids]
        (args.out / 'index.json').write_text(json.dumps(kept, indent=1))


def is_stained(pixels: np.ndarray) -> bool:
    """Whether a picture, (H, W, 3) uint8, has colour."""
    return float((pixels.max(2) - pixels.min(2)).mean()) > COLOUR


if __name__ == '__main__':
    main()
