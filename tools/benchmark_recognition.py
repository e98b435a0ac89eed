"""Recognition from 10 labels a class on the digits: fine-tuning, linear probes, k-NN, from scratch.

  python tools/benchmark_recognition.py --out work_dirs/digits/recognition

Needs what `make digits` trains. Writes FOLDER/recognition.md and recognition.json. The same command
goes on where it was stopped; started several times, the runs share the work.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.model_source import find_shipped
from addp_mm.cli.run import run
from addp_mm.studies.label_efficiency import LabelEfficiency, Method, summarise, write_table

_ADAMW_RATES = (1e-3, 3e-3, 1e-2, 3e-2)
_SCRATCH_RATES = (3e-4, 1e-3, 3e-3)
_LARS_RATES = (6.4, 25.6, 102.4)
_RANDOM = {'model.backbone.init_cfg': None}
_SCRATCH = {**_RANDOM, 'optim_wrapper.paramwise_cfg.layer_decay_rate': 1.}
_ADDP, _MAGE = 'work_dirs/digits/addp/epoch_25.pth', 'work_dirs/digits/mage/epoch_80.pth'

# The rows on the digits; configs are below configs/digits.
METHODS = {
    'finetune_addp': Method('fine-tuned from ADDP', 'finetune.py', rates=_ADAMW_RATES),
    'finetune_mage': Method(
        'fine-tuned from MAGE, token input', 'finetune_tokens.py', rates=_ADAMW_RATES),
    'scratch_pixels': Method('from scratch, pixels', 'finetune.py', _SCRATCH, _SCRATCH_RATES),
    'scratch_tokens': Method(
        'from scratch, tokens', 'finetune_tokens.py', _SCRATCH, _SCRATCH_RATES),
    'linear_addp': Method('linear probe of ADDP', 'linear.py', rates=_LARS_RATES),
    'linear_mage': Method(
        'linear probe of MAGE, token input', 'linear_tokens.py', rates=_LARS_RATES),
    'linear_random': Method(
        'linear probe of a random encoder, pixels', 'linear.py', _RANDOM, _LARS_RATES),
    'knn_addp': Method('k-NN of ADDP', 'knn.py', checkpoint=_ADDP),
    'knn_mage': Method('k-NN of MAGE, token input', 'knn_tokens.py', checkpoint=_MAGE),
}


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
