"""Draw the training curves of runs: losses, learning rate and held-out metrics."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.visualization import draw_curves, read_run


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', nargs='+', metavar='RUN_DIR', type=Path,
                        help='work folder of a run, finished or not')
    parser.add_argument('--out', type=Path, required=True,
                        help='file of the figure; its ending says the format: .png, .pdf, .svg')
    return parser.parse_args()


def main() -> int:
    """Write the figure and print where it is; returns the exit code."""
    args = parse_args()
    try:
        figure = draw_curves([read_run(run) for run in args.runs])
        args.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(args.out)
    except (OSError, ValueError) as error:
        print(f'error: {" ".join(str(error).split())}', file=sys.stderr)
        return 2
    print(args.out)
    return 0


if __name__ == '__main__':
    sys.exit(main())
