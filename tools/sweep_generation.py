"""Scores over steps (Fig. 6), top-p (Tab. 10) or temperature (Tab. 11) of the sampler.

  python tools/sweep_generation.py steps CONFIG CHECKPOINT --reference REFERENCE --out FOLDER

Writes FOLDER/steps.png, steps.md and steps.csv. Images are not kept. The same command goes on where
it was stopped; started several times, for example once for each GPU, the runs share the work.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from addp_mm.apis.generate import build_inferencer
from addp_mm.checkpoints.run_settings import model_settings
from addp_mm.checkpoints.weight_files import sha256_of
from addp_mm.cli.arguments import (
    add_extractor_arguments,
    add_model_arguments,
    add_sampler_arguments,
    extractor_options,
    model_options,
    sampler_options,
)
from addp_mm.cli.progress import progress_bar
from addp_mm.cli.run import run
from addp_mm.evaluation.feature_extractor import build_extractors
from addp_mm.evaluation.generation_scores import check_counts, reference_features
from addp_mm.evaluation.quality_record import describe_set
from addp_mm.evaluation.reference_set import open_reference
from addp_mm.studies.sampler_sweep import (
    SWEEPS,
    Sweep,
    point_row,
    sweep_samplers,
    write_sweep_report,
)
from addp_mm.studies.tables import format_cell


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sweep', choices=SWEEPS, help='what to change')
    add_model_arguments(parser)
    parser.add_argument('--reference', help='folder or .npz of real images, see '
                        'prepare_reference.py; not needed for the Inception Score alone')
    parser.add_argument('--out', type=Path, required=True, help='folder of the results')
    parser.add_argument('--num-images', type=int, default=50000,
                        help='images of each point (default: %(default)s)')
    parser.add_argument('--values', type=float, nargs='+',
                        help="numbers of steps, values of p or temperatures (default: the paper's "
                             'and, for steps, up to one for each token)')
    add_sampler_arguments(parser)
    add_extractor_arguments(parser)
    return parser.parse_intermixed_args(words)


def prepare(args: argparse.Namespace) -> tuple[Sweep, list[dict]]:
    """Build everything, and check all points before the first is measured."""
    if args.num_images < 1:
        raise ValueError(f'--num-images must be at least 1, got {args.num_images}.')
    if args.reference is None and set(args.metrics) != {'is'}:
        raise ValueError('fid and prc compare with real images: name them with --reference.')
    inferencer = build_inferencer(**model_options(args))
    base = sampler_options(args)
    if not args.static_temperature:
        base.pop('dynamic', None)
    samplers = sweep_samplers(args.sweep, inferencer.generator().num_tokens, base, args.values)
    for sampler in samplers:
        inferencer.generator(**sampler)
    about = dict(checkpoint_sha256=sha256_of(args.checkpoint), dtype=args.dtype,
                 model=model_settings(inferencer.config),
                 tokenizer_sha256=inferencer.model.data_preprocessor.tokenizer.sha256)
    compares, images = set(args.metrics) != {'is'}, None
    if compares:
        images = open_reference(args.reference)
        about['reference'] = dict(describe_set(images), fingerprint=images.fingerprint())
    check_counts(args.metrics, args.num_images, len(images or ()))
    extract = build_extractors(**extractor_options(args), device=inferencer.device)
    sweep = Sweep(args.out, inferencer, extract, None, args.num_images, args.seed, args.batch_size,
                  about)
    if compares:
        with progress_bar('reference') as bar:
            sweep.reference = reference_features(
                images, sweep.extract, args.cache_dir, on_images=bar)
    return sweep, samplers


def main(words: list[str] | None = None) -> None:
    """Measure all points and report them."""
    args = parse_args(words)
    sweep, samplers = prepare(args)
    records = []
    for sampler in samplers:
        record = sweep.run_point(sampler)
        if record is None:
            print(f'another process works on {sampler}', flush=True)
            continue
        records.append(record)
        report = write_sweep_report(args.sweep, records, args.out)
        row = point_row(args.sweep, record)
        print('  '.join(f'{name} {format_cell(value)}' for name, value in row.items()), flush=True)
    if len(records) < len(samplers):
        print('Run the same command once the other processes are done.')
    else:
        print(report)


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
