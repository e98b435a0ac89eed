"""Write a trained model, or its encoder alone, as one folder to hand on, with a model card.

The card is made from the run's own record: data, steps, scores of its validation. Anybody reads the
folder, or the repository on the Hugging Face hub, with ADDPInferencer.from_pretrained or
ADDPEncoder.from_pretrained; an encoder also with timm, mmpretrain, mmdet and mmseg.

Examples:
    python tools/publish.py configs/digits/addp.py epoch_25.pth --out digits --license apache-2.0
    python tools/publish.py CONFIG CHECKPOINT --out encoder --encoder --license mit
    python tools/publish.py CONFIG CHECKPOINT --out addp --license mit --upload USER/NAME
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis import ADDPEncoder
from addp_mm.apis.generate import build_inferencer
from addp_mm.apis.publish import read_scores, upload_folder
from addp_mm.cli.arguments import add_model_arguments, model_options
from addp_mm.cli.run import run


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_arguments(parser)
    parser.add_argument('--out', type=Path, required=True,
                        help='a new folder, or one that holds an earlier model')
    parser.add_argument('--encoder', action='store_true', help='write the encoder alone')
    parser.add_argument('--license', required=True,
                        help='licence of the weights, as the hub calls it, such as apache-2.0; '
                             'what data and start values allow comes before your own choice')
    parser.add_argument('--scores', type=Path, nargs='+', default=[], metavar='FILE',
                        help='JSON files of scores for the card, as evaluate_generation.py writes')
    parser.add_argument('--upload', metavar='USER/NAME',
                        help='also send it to this repository of the hub, which is made if it is '
                             'not there (log in first: hf auth login)')
    parser.add_argument('--private', action='store_true', help='nobody else sees the repository')
    return parser.parse_intermixed_args(words)


def main(words: list[str] | None = None) -> None:
    """Write the folder, and upload it if that was asked for."""
    args = parse_args(words)
    scores = read_scores(args.scores)
    inferencer = build_inferencer(**model_options(args))
    shared = ADDPEncoder.from_training(
        inferencer.config, inferencer.model, inferencer.weights) if args.encoder else inferencer
    about = dict(license=args.license, scores=scores, name=args.upload or str(args.out))
    shared.save_pretrained(args.out, model_card_kwargs=about)
    print(f'Written to {args.out}. Read README.md in it before you hand it on.')
    if args.upload:
        print(f'Uploaded: {upload_folder(args.out, args.upload, args.private)}')


if __name__ == '__main__':
    sys.exit(run(main))
