"""Test a model: ``python tools/test.py CONFIG CHECKPOINT``, with the flags of OpenMMLab's tools."""
from __future__ import annotations

import argparse
import sys

from addp_mm.apis.train import test
from addp_mm.cli.arguments import add_runner_arguments, runner_options
from addp_mm.cli.run import run


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', help='file for the results')
    parser.add_argument('--out-item', choices=['metrics', 'pred'],
                        help='what goes into --out, the predictions by default')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument('--interval', type=int, default=1, help='show every n-th sample')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds to show each window')
    parser.add_argument('--tta', action='store_true',
                        help='average over augmented images: those of tta_model and tta_pipeline '
                             'in the config, or flips')
    add_runner_arguments(parser)
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Test with a command line, or with the words given."""
    args = parse_args(words)
    test(args.config, args.checkpoint, args.out, args.out_item, show=args.show,
         show_dir=args.show_dir, interval=args.interval, wait_time=args.wait_time, tta=args.tta,
         **runner_options(args))


if __name__ == '__main__':
    sys.exit(run(main))
