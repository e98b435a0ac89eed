"""Robustness of a classifier: ImageNet-A, -R, -Sketch and -C (paper Tab. 9).

  python tools/evaluate_robustness.py CONFIG CHECKPOINT --imagenet-a DIR --imagenet-r DIR
      --imagenet-sketch DIR --imagenet-c DIR
  python tools/evaluate_robustness.py --predictions FOLDER

Measures what is named, prints the row of the table beside the paper's, and writes robustness.json
and robustness.md. The same command goes on where it was stopped; started several times, for
example once for each GPU, the runs share the work. The second form reads files of tools/test.py
--out, named imagenet-a.pkl, ..., imagenet-c_fog_3.pkl.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmengine.device import get_device

import addp_mm  # noqa: F401  (registers)
from addp_mm.apis.check_config import set_options
from addp_mm.apis.load_model import build_model
from addp_mm.checkpoints.weight_files import sha256_of
from addp_mm.cli.arguments import Options
from addp_mm.cli.run import run
from addp_mm.config_file import read_config_file
from addp_mm.result_folder import ResultFolder
from addp_mm.studies.robustness.report import (
    records_of_predictions,
    table_row,
    table_text,
    write_robustness_report,
)
from addp_mm.studies.robustness.robustness import (
    CLASSES_OF,
    CLEAN,
    RobustnessRun,
    plan_parts,
    test_pipeline,
)

DATA_SETS = (*CLASSES_OF, CLEAN)


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help="a classifier's config; its test pipeline is "
                                                  'used')
    parser.add_argument('checkpoint', nargs='?', help='its checkpoint')
    for name in CLASSES_OF:
        layout = 'CORRUPTION/SEVERITY/WNID' if name == 'imagenet-c' else 'WNID'
        parser.add_argument(f'--{name}', type=Path, metavar='DIR', help=f'holds {layout}/*.JPEG')
    parser.add_argument(f'--{CLEAN}', type=Path, metavar='DIR', help='instead of --imagenet-c: '
                        'corrupt these validation images (WNID/*.JPEG) on the fly, with '
                        'imagecorruptions-imaug; published numbers are of the official files')
    parser.add_argument('--predictions', type=Path, metavar='FOLDER',
                        help='stored predictions, instead of config, checkpoint and images')
    parser.add_argument('--class-names', type=Path, metavar='FILE', help='for other classifiers: '
                        'the names of the class folders, one a line in the order of the outputs '
                        "(default: ImageNet-1k's)")
    parser.add_argument('--out', type=Path, help='folder of the results (default: '
                        'work_dirs/robustness/NAME of the config or of the predictions)')
    parser.add_argument('--batch-size', type=int, default=64,
                        help='images at a time (default: %(default)s)')
    parser.add_argument('--num-workers', type=int, default=4,
                        help='processes that load images (default: %(default)s)')
    parser.add_argument('--device', help='where to run (default: a GPU if there is one)')
    parser.add_argument('--amp', action='store_true', help='use mixed precision')
    parser.add_argument('--cfg-options', nargs='+', action=Options,
                        help='change settings of the config: key=value')
    return parser.parse_args(words)


def read_class_names(path: Path | None) -> list[str] | None:
    """The names in a file, one a line."""
    return path and path.read_text(encoding='utf-8').split()


def prepare(args: argparse.Namespace, folders: dict[str, Path]) -> tuple[RobustnessRun, list]:
    """Check all folders, then build the classifier."""
    if args.config is None or args.checkpoint is None:
        raise ValueError('Expected CONFIG CHECKPOINT, or --predictions FOLDER.')
    if args.batch_size < 1:
        raise ValueError(f'--batch-size must be at least 1, got {args.batch_size}.')
    class_names = read_class_names(args.class_names)
    parts = plan_parts(folders, class_names)
    cfg = read_config_file(args.config)
    set_options(cfg, args.cfg_options)
    pipeline = test_pipeline(cfg)
    model = build_model(cfg, args.checkpoint).to(args.device or get_device())
    robustness = RobustnessRun(
        model, pipeline, args.out or Path('work_dirs/robustness') / Path(args.config).stem,
        class_names, args.batch_size, args.num_workers, args.amp,
        dict(checkpoint_sha256=sha256_of(args.checkpoint), model=cfg.model.to_dict()))
    return robustness, parts


def measure(args: argparse.Namespace, folders: dict[str, Path]) -> dict[str, dict] | None:
    """Measure all parts and report; None where other processes still work on some."""
    robustness, parts = prepare(args, folders)
    records = {}
    for part in parts:
        record = robustness.run_part(part)
        if record is None:
            print(f'another process works on {part.name}', flush=True)
            continue
        records[part.name] = record
        print(f'{part.name}: {record["top1"]:.2f} % of {record["num_images"]} images', flush=True)
    if len(records) < len(parts):
        return None
    about = dict(robustness.about, class_names=robustness.class_names)
    write_robustness_report(records, robustness.out, about)
    return dict(records=records, out=robustness.out)


def score_predictions(args: argparse.Namespace) -> dict:
    """Report on stored predictions."""
    if args.config is not None:
        raise ValueError('Name a config and a checkpoint, or --predictions, not both.')
    class_names = read_class_names(args.class_names)
    out = args.out or Path('work_dirs/robustness') / args.predictions.resolve().name
    records = records_of_predictions(args.predictions, class_names)
    about = dict(predictions=str(args.predictions.resolve()), class_names=class_names)
    table_row(records)      # before anything is written
    ResultFolder(out, about)
    write_robustness_report(records, out, about)
    return dict(records=records, out=out)


def main(words: list[str] | None = None) -> None:
    """Measure, print the table and write the report."""
    args = parse_args(words)
    named = {name: getattr(args, name.replace('-', '_')) for name in DATA_SETS}
    folders = {name: folder for name, folder in named.items() if folder is not None}
    if args.predictions is not None and folders:
        raise ValueError('Name the images to measure, or --predictions, not both.')
    done = score_predictions(args) if args.predictions else measure(args, folders)
    if done is None:
        print('Run the same command once the other processes are done.')
        return
    print(table_text(table_row(done['records'])))
    print(done['out'] / 'robustness.md')


if __name__ == '__main__':
    sys.exit(run(main, resumable=True))
