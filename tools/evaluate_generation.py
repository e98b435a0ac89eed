"""FID, Inception Score, precision and recall of generated images, through torch-fidelity.

  python tools/evaluate_generation.py GENERATED --reference REFERENCE --out metrics.json
  python tools/evaluate_generation.py --reconstruct CONFIG --reference REFERENCE

The second form measures what the tokenizer of a config loses: the FID of its reconstructions.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.device import get_device

from addp_mm.atomic_write import write_json
from addp_mm.checkpoints.weight_files import check_target
from addp_mm.cli.arguments import add_extractor_arguments, extractor_options
from addp_mm.cli.progress import progress_bar
from addp_mm.cli.run import run
from addp_mm.evaluation.feature_extractor import build_extractors
from addp_mm.evaluation.generation_scores import (
    check_counts,
    extract_features,
    reference_features,
    score,
)
from addp_mm.evaluation.image_set import open_image_set
from addp_mm.evaluation.quality_record import describe_set, quality_record
from addp_mm.evaluation.reconstructions import Reconstructions, load_tokenizer
from addp_mm.evaluation.reference_set import open_reference


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', nargs='?', help='folder of PNG files, or .npz of (N, H, W, 3)')
    parser.add_argument('--reference', help='the same of real images, see prepare_reference.py; '
                        'not needed for the Inception Score alone')
    parser.add_argument('--reconstruct', metavar='CONFIG', help='measure reconstructions of the '
                        'reference by the tokenizer of this config, instead of images')
    parser.add_argument('--tokenizer-weights', metavar='FILE', help='its weights, where the config '
                        'does not name them or others are wanted')
    parser.add_argument('--out', type=Path, help='JSON file for the scores and all settings')
    parser.add_argument('--overwrite', action='store_true', help='replace it if it exists')
    parser.add_argument('--batch-size', type=int, default=64,
                        help='images at a time (default: %(default)s)')
    parser.add_argument('--device', help='where to run (default: a GPU if there is one)')
    add_extractor_arguments(parser)
    return parser.parse_args(words)


def measure(args: argparse.Namespace) -> dict:
    """Make the features of both sets and compare them."""
    if (args.images is None) == (args.reconstruct is None):
        raise ValueError('Name the images to measure, or --reconstruct CONFIG, and not both.')
    if args.reference is None and (args.reconstruct or set(args.metrics) != {'is'}):
        raise ValueError('fid and prc compare with real images: name them with --reference.')
    if args.batch_size < 1:
        raise ValueError(f'--batch-size must be at least 1, got {args.batch_size}.')
    if args.out is not None:
        check_target(args.out, args.overwrite)
    reference = None if args.reference is None else open_reference(args.reference)
    if args.reconstruct:
        images = Reconstructions(load_tokenizer(
            args.reconstruct, args.tokenizer_weights, args.device or get_device()), reference)
    else:
        images = open_image_set(args.images)
    check_counts(args.metrics, len(images), len(reference or ()))
    extract = build_extractors(**extractor_options(args), device=args.device)
    compared = None
    if reference is not None and set(args.metrics) != {'is'}:
        with progress_bar('reference') as bar:
            compared = reference_features(
                reference, extract, args.cache_dir, args.batch_size, bar)
    with progress_bar('images') as bar:
        features = extract_features(images, extract, args.batch_size, bar)
    return quality_record(score(features, compared), extract, describe_set(images),
                          describe_set(reference) if compared else None)


def main(words: list[str] | None = None) -> None:
    """Print the scores and write the record."""
    args = parse_args(words)
    record = measure(args)
    if args.out is not None:
        write_json(args.out, record)
    for note in record['notes']:
        print(f'note: {note}', file=sys.stderr)
    for name, value in record['scores'].items():
        print(f'{name}: {value:.6g}')


if __name__ == '__main__':
    sys.exit(run(main))
