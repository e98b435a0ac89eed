"""Train a model: ``python tools/train.py CONFIG``, with the flags of OpenMMLab's training tools."""
from __future__ import annotations

import argparse
import sys

from addp_mm.apis.launch import add_common_arguments, run_tool, train


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
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
    add_common_arguments(parser)
    return parser.parse_args(words)


if __name__ == '__main__':
    sys.exit(run_tool(train, parse_args()))
