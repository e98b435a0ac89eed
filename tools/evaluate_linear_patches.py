"""What a linear layer reads from a frozen encoder's tokens: the label map, patch by patch.

  python tools/evaluate_linear_patches.py CONFIG CHECKPOINT --data ROOT --labelled 32
  python tools/evaluate_linear_patches.py CONFIG --data ROOT                (random start values)

A minute on a CPU, before hours of a detector. CONFIG is any config with a model.backbone. ROOT
holds images/training, annotations/training, images/validation and annotations/validation, as
ADE20K does. Prints the mIoU on the validation pictures, mean and spread over several draws of the
labelled ones, and how much of the tokens' variation lies within a tile; --out keeps them as JSON.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.logging import MMLogger

import addp_mm  # noqa: F401  (registers)
from addp_mm.apis.check_config import set_options
from addp_mm.atomic_write import write_json
from addp_mm.checkpoints.weight_files import sha256_of
from addp_mm.cli.arguments import Options
from addp_mm.cli.run import run
from addp_mm.config_file import read_config_file
from addp_mm.result_folder import other_settings
from addp_mm.studies.frozen_tokens import PARTS, FrozenEncoder, find_pictures
from addp_mm.studies.linear_patches import LinearPatches, table_row
from addp_mm.studies.tables import markdown_table


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config with a model.backbone')
    parser.add_argument('checkpoint', nargs='?', help='weights of the encoder')
    parser.add_argument('--data', type=Path, required=True, help='folder of pictures and maps')
    parser.add_argument('--labelled', type=int, default=32,
                        help='labelled pictures of a draw (default: %(default)s)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2],
                        help='one draw for each (default: 0 1 2)')
    parser.add_argument('--size', type=int, help='side of the tiles in pixels (default: the image '
                                                 'size of the pre-training)')
    parser.add_argument('--out', type=Path, help='write the record here, as JSON')
    parser.add_argument('--cfg-options', nargs='+', action=Options,
                        help='change settings of the config: key=value')
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Measure, print and keep."""
    args = parse_args(words)
    MMLogger.get_instance('linear_patches', log_level='WARNING')    # no line for each start value
    pictures = [find_pictures(args.data, part) for part in PARTS]
    cfg = read_config_file(args.config)
    set_options(cfg, args.cfg_options)
    encoder = FrozenEncoder.from_config(cfg, args.checkpoint, args.size)
    inputs = dict(
        config=args.config, cfg_options=args.cfg_options, data=str(args.data.absolute()),
        labelled=args.labelled, seeds=args.seeds, size=encoder.size,
        checkpoint_sha256=args.checkpoint and sha256_of(args.checkpoint))
    if args.out and (trouble := other_settings(args.out, inputs)):
        raise ValueError(f'{args.out} was made with other settings ({trouble}): choose another '
                         '--out.')
    record = LinearPatches(encoder).measure(*pictures, args.labelled, args.seeds)
    title = Path(args.checkpoint).parent.name if args.checkpoint else 'random start values'
    sys.stdout.write(markdown_table([table_row(title, record)]))
    if args.out:
        write_json(args.out, record | inputs)


if __name__ == '__main__':
    sys.exit(run(main))
