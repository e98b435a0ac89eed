r"""Which pre-training helps detection and segmentation: rows, labelled pictures, seeds.

  python tools/run_dense_study.py --data data/nuclei
  python tools/run_dense_study.py --data data/nuclei --rows scratch addp pixels mae \
      --labelled 32 --parts linear detector --seeds 0
  python tools/run_dense_study.py --data data/mine --records work_dirs/mine/records \
      --work-dir work_dirs/mine

DATA holds the pictures in images/ and in annotations/ what tools/prepare_annotations.py writes.
Each cell leaves a small record as JSON; the same command goes on where it was stopped, also with
other rows, and several processes share the cells. The records that are shipped are of the nuclei:
other pictures need another folder. Prints a table and writes it to RECORDS/table.md. What each row
changes stands in addp_mm/studies/dense_pretraining/rows.py.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.logging import MMLogger

import addp_mm  # noqa: F401  (registers)
from addp_mm.cli.run import run
from addp_mm.studies.dense_pretraining import (
    RATES,
    ROWS,
    TASKS,
    DenseStudy,
    draw_labels,
    write_tables,
)

PARTS = ('linear', *TASKS)


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='pictures, maps and COCO files')
    parser.add_argument('--configs', type=Path, default=Path('configs/dense_study'),
                        help='folder of the trainings (default: %(default)s)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/dense_study'),
                        help='folder of logs and weights (default: %(default)s)')
    parser.add_argument('--records', type=Path, default=Path('benchmarks/dense_study'),
                        help='folder of the records (default: %(default)s)')
    parser.add_argument('--rows', nargs='+', choices=list(ROWS), default=list(ROWS),
                        metavar='ROW', help=f'some of {", ".join(ROWS)} (default: all)')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS),
                        help='what is measured (default: all)')
    parser.add_argument('--labelled', type=int, nargs='+', default=[8, 32, 128, 466],
                        help='numbers of labelled pictures (default: 8 32 128 466)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2],
                        help='one run, or one draw of the linear layer, for each')
    parser.add_argument('--rate', type=float, help='one learning rate for all rows (default: for '
                        f'each row the best of {", ".join(map(str, RATES))} by training pictures)')
    parser.add_argument('--times', type=int, default=1, metavar='N', help='pre-trainings read each '
                        'picture N times as often in an epoch: for few pictures (default: 1)')
    parser.add_argument('--plot', type=Path, metavar='FILE.png',
                        help='draw mask AP over the number of labelled pictures')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Run what has no record, then write the table."""
    args = parse_args(words)
    MMLogger.get_instance('dense_study', log_level='WARNING')   # no line for each start value
    study = DenseStudy(args.configs, args.data, args.work_dir, args.records, ROWS,
                       say, times=args.times)
    for part in args.parts:
        for labelled in args.labelled:
            for name in args.rows:
                if part == 'linear':
                    study.linear(name, labelled, args.seeds)
                    continue
                for seed in args.seeds:
                    study.train(part, name, labelled, seed, args.rate)
    sys.stdout.write(write_tables(args.records, ROWS, args.labelled, args.seeds))
    if args.plot:
        draw_labels(args.records, ROWS, args.labelled, args.seeds).savefig(args.plot, dpi=120)


def say(line: str) -> None:
    """Write a line beside the table."""
    sys.stderr.write(f'{line}\n')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
