"""A copy of labelled pictures whose contrast is stretched, for the study of pre-trainings.

Each picture is brought from its 1st to its 99.8th percentile, over all channels together, to 0 to
255, as microscopy tools normalise it. The labels stay the same.

    python benchmarks/stretched_pictures.py data/nuclei data/nuclei_stretched
    python tools/run_dense_study.py --data data/nuclei_stretched --records RECORDS --work-dir RUNS
"""
from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from mmengine.utils import track_iter_progress
from PIL import Image

from addp_mm.datasets.image_reader import read_pixels

PERCENTILES = 1, 99.8


def main(words: list[str] | None = None) -> None:
    """Copy a folder of data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data', type=Path, help='folder with images and annotations')
    parser.add_argument('out', type=Path, help='folder of the copy, which must not exist')
    args = parser.parse_args(words)
    pictures = sorted((args.data / 'images').iterdir())
    shutil.copytree(args.data / 'annotations', args.out / 'annotations')
    (args.out / 'images').mkdir()
    for path in track_iter_progress(pictures):
        Image.fromarray(stretched(read_pixels(path))).save(args.out / 'images' / path.name)


def stretched(pixels: np.ndarray) -> np.ndarray:
    """A picture with its contrast stretched; both (H, W, 3) uint8."""
    low, high = np.percentile(pixels, PERCENTILES)
    scaled = (pixels.astype(np.float32) - low) / max(high - low, 1) * 255
    return scaled.clip(0, 255).round().astype(np.uint8)


if __name__ == '__main__':
    main()
