"""Draw the training curves of runs: losses, learning rate and held-out metrics."""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.cli.run import run
from addp_mm.visualization import draw_curves, read_run


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', nargs='+', metavar='RUN_DIR', type=Path,
                        help='work folder of a run, finished or not')
    parser.add_argument('--out', type=Path, required=True,
                        help='file of the figure; its ending says the format: .png, .pdf, .svg')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the figure and print where it is."""
    args = parse_args(words)
    figure = draw_curves([read_run(run_dir) for run_dir in args.runs])
    formats = figure.canvas.get_supported_filetypes()
    if args.out.suffix[1:] not in formats:
        raise ValueError(f'--out must end in one of {", ".join(formats)}, got {args.out}.')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out)
    print(args.out)


if __name__ == '__main__':
    sys.exit(run(main))
