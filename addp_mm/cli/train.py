"""Train a model: ``python -m addp_mm.cli.train CONFIG``, with the flags of OpenMMLab's tools."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ..apis.train import train
from .arguments import add_runner_arguments, runner_options
from .run import run


def parse_args(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from this checkpoint, or from the last whole one in the work '
                             'folder')
    parser.add_argument('--no-validate', action='store_true', help='do not validate in between')
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate with the actual batch')
    parser.add_argument('--no-persistent-workers', action='store_true',
                        help='start new data loader processes in every epoch')
    add_runner_arguments(parser)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Train with a command line, or with the words given."""
    args = parse_args(words)
    train(args.config, resume=args.resume, validate=not args.no_validate,
          auto_scale_lr=args.auto_scale_lr, persistent_workers=not args.no_persistent_workers,
          **runner_options(args))


if __name__ == '__main__':
    sys.exit(run(main))
