"""Recognition from 10 labels a class on the digits: fine-tuning, linear probes, k-NN, from scratch.

  python tools/benchmark_recognition.py --out work_dirs/digits/recognition

Needs what `make digits` trains. Writes FOLDER/recognition.md and recognition.json. The same command
goes on where it was stopped; started several times, the runs share the work.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.cli.run import run
from addp_mm.own_images.trainings import find_shipped
from addp_mm.studies.label_efficiency import METHODS, LabelEfficiency, summarise, write_table


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/digits/recognition'),
                        help='folder of the results (default: %(default)s)')
    parser.add_argument('--seeds', type=int, default=5, metavar='N',
                        help='choices of labels, 0 to N - 1 (default: %(default)s)')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS),
                        help='rows of the table (default: all)')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Measure what is not measured yet and write the table."""
    args = parse_args(words)
    runs = LabelEfficiency(
        find_shipped('configs') / 'digits', args.out,
        lambda name, record: print(
            f'{name}: {record["accuracy"]:.1f} % in {record["seconds"]:.0f} s', flush=True))
    if args.seeds < 1:
        raise ValueError(f'--seeds must be at least 1, got {args.seeds}.')
    found = {name: runs.run(name, METHODS[name], range(args.seeds)) for name in args.methods}
    rows = [summarise(METHODS[name], records) for name, records in found.items() if records]
    print(write_table(rows, args.out) if rows else '', end='')
    missing = [name for name, records in found.items() if records is None]
    if missing:
        print(f'Another process works on {", ".join(missing)}: run the command again after it.')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
