r"""Train detection and segmentation from the pre-trained encoder and from scratch, and compare.

  python tools/run_dense_transfer.py --out work_dirs/digits/dense_transfer

Both times the same budget, for each of several seeds, on the scenes of tools/make_digit_scenes.py
unless other configs are named. The same command goes on where it was stopped. Prints a table and
writes it to OUT/table.md.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.atomic_write import write_whole
from addp_mm.cli.arguments import Options
from addp_mm.cli.run import run
from addp_mm.studies.dense_transfer import STARTS, check_runs, format_table, scores_of


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', type=Path,
                        default=[Path('configs/digits/mask-rcnn.py'),
                                 Path('configs/digits/upernet.py')],
                        help='trainings whose model.backbone.init_cfg names a checkpoint')
    parser.add_argument('--out', type=Path, required=True, help='folder of runs and table')
    parser.add_argument('--starts', nargs='+', choices=list(STARTS), default=list(STARTS),
                        help='where the encoder comes from (default: both)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='one run for each')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={},
                        help='see tools/train.py')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Run what is missing, then write the table."""
    args = parse_args(words)
    check_runs(args.seeds, args.cfg_options)
    rows = []
    for config in args.configs:
        for start in args.starts:
            results = [scores_of(config, start, seed, args.cfg_options, args.out, say)
                       for seed in args.seeds]
            rows.append((config.stem, start, results))
    if any(None in results for _, _, results in rows):
        say('Another process trains: run the same command once it is done.')
        return
    table = format_table(rows)
    write_whole(args.out / 'table.md', table.encode())
    sys.stdout.write(table)


def say(line: str) -> None:
    """Write a line beside the table."""
    sys.stderr.write(f'{line}\n')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
