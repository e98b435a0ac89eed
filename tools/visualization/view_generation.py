"""Draw what a model generates: samples, the steps of one of them, and its token embeddings.

    python tools/visualization/view_generation.py CONFIG CHECKPOINT --out FOLDER

writes samples.png, steps.png and embeddings.png (paper Fig. 7, 8 and 16).
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import add_model_arguments, add_sampler_arguments, draw
from addp_mm.apis.launch import run_tool


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, help='folder for the pictures')
    parser.add_argument('--num-images', type=int, default=16, help='(default: %(default)s)')
    add_sampler_arguments(parser)
    parser.set_defaults(local_rank=0)
    return parser.parse_args()


if __name__ == '__main__':
    sys.exit(run_tool(draw, parse_args()))
