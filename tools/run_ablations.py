r"""Pre-train, generate and fine-tune each row of ablation tables (paper Tab. 3 to 6).

  python tools/run_ablations.py configs/addp/ablations --reference REFERENCE \
      --finetune CONFIG --out FOLDER

The rows are config files beside a `default.py` that they change; --on makes the same changes in
another config, such as that of a smaller model. Writes FOLDER/ablations.md, .json and .png. The
same command goes on where it was stopped; started several times, for example once for each GPU, the
runs share the rows.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.device import get_device
from mmengine.logging import MMLogger

from addp_mm.cli.arguments import (
    add_extractor_arguments,
    add_sampler_arguments,
    extractor_options,
    sampler_options,
)
from addp_mm.cli.progress import progress_bar
from addp_mm.cli.run import run
from addp_mm.evaluation.feature_extractor import build_extractors
from addp_mm.evaluation.generation_scores import check_counts, reference_features
from addp_mm.evaluation.quality_record import describe_set
from addp_mm.evaluation.reference_set import open_reference
from addp_mm.studies.ablations.ablations import Ablations, Generation
from addp_mm.studies.ablations.rows import find_rows


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rows', nargs='+', type=Path, help='configs, or folders of configs')
    parser.add_argument('--on', type=Path, metavar='CONFIG',
                        help='make the changes of the rows in this config')
    parser.add_argument('--out', type=Path, required=True, help='folder of the results')
    parser.add_argument('--finetune', type=Path, metavar='CONFIG',
                        help='training of a classifier whose model.backbone.init_cfg names a '
                             'checkpoint of ADDP, to measure its accuracy (default: none)')
    parser.add_argument('--finetune-seeds', type=int, nargs='+', default=[0],
                        help='seeds of the fine-tunings of a row (default: 0)')
    parser.add_argument('--gpus', type=int, default=1,
                        help='processes of each training (default: %(default)s)')
    parser.add_argument('--reference', help='folder or .npz of real images, see '
                        'prepare_reference.py; not needed for the Inception Score alone')
    parser.add_argument('--num-images', type=int, default=50000,
                        help='generated images of each row (default: %(default)s)')
    parser.add_argument('--device', help='where images are generated (default: a GPU if there is '
                                         'one)')
    add_sampler_arguments(parser)
    add_extractor_arguments(parser)
    return parser.parse_args(words)


def prepare(args: argparse.Namespace) -> Ablations:
    """Read and check everything before the first training."""
    for flag, number in (('--num-images', args.num_images), ('--gpus', args.gpus)):
        if number < 1:
            raise ValueError(f'{flag} must be at least 1, got {number}.')
    compares = set(args.metrics) != {'is'}
    if args.reference is None and compares:
        raise ValueError('fid and prc compare with real images: name them with --reference.')
    rows = find_rows(args.rows, args.on)
    device = args.device or get_device()
    extract, images = build_extractors(**extractor_options(args), device=device), None
    if compares:
        images = open_reference(args.reference)
    check_counts(args.metrics, args.num_images, len(images or ()))
    about = None if images is None else dict(
        describe_set(images), fingerprint=images.fingerprint())
    generation = Generation(extract, None, about, args.num_images, sampler_options(args),
                            args.seed, args.batch_size, device)
    ablations = Ablations(args.out, rows, generation, args.finetune, args.finetune_seeds,
                          args.gpus, say)
    if compares:
        with progress_bar('reference') as bar:
            generation.reference = reference_features(
                images, extract, args.cache_dir, on_images=bar)
    return ablations


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(words: list[str] | None = None) -> None:
    """Run all rows and say where the report is."""
    args = parse_args(words)
    MMLogger.get_instance('addp_mm').setLevel('WARNING')  # each training has its own log
    report = prepare(args).run()
    print(report or 'Run the same command once the other processes are done.')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
