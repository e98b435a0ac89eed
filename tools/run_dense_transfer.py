r"""Train detection and segmentation from the pre-trained encoder and from scratch, and compare.

  python tools/run_dense_transfer.py --out work_dirs/digits/dense_transfer

Both times the same budget, for each of several seeds, on the scenes of tools/make_digit_scenes.py
unless other configs are named. The same command goes on where it was stopped. Prints a table and
writes it to OUT/table.md.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from addp_mm.apis.launch import run_tool
from addp_mm.atomic_write import write_whole
from addp_mm.studies.tables import markdown_table

TRAIN = Path(__file__).with_name('train.py')
STARTS = {'pre-trained': [], 'from scratch': ['model.backbone.init_cfg=None']}
# What the evaluators of mmdet and mmseg call it, its name in the table, and its factor to percent.
SCORES = {
    'coco/bbox_mAP': ('box AP', 100),
    'coco/bbox_mAP_50': ('box AP50', 100),
    'coco/segm_mAP': ('mask AP', 100),
    'coco/segm_mAP_50': ('mask AP50', 100),
    'mIoU': ('mIoU', 1),
    'aAcc': ('pixel accuracy', 1),
}


def parse_args(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line, or the words given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='*', type=Path,
                        default=[Path('configs/digits/mask-rcnn.py'),
                                 Path('configs/digits/upernet.py')],
                        help='trainings whose model.backbone.init_cfg names a checkpoint')
    parser.add_argument('--out', type=Path, required=True, help='folder of runs and table')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='one run for each')
    parser.add_argument('--cfg-options', nargs='+', default=[], help='see tools/train.py')
    args = parser.parse_args(words)
    args.local_rank = 0
    return args


def main(args: argparse.Namespace) -> None:
    """Run what is missing, then write the table.

    Raises:
        ValueError: If a training fails, or ends without a score that the table knows.
    """
    rows = []
    for config in args.configs:
        for start, options in STARTS.items():
            results = [scores_of(config, start, seed, [*options, *args.cfg_options], args.out)
                       for seed in args.seeds]
            rows.append((config.stem, start, results))
    table = format_table(rows)
    write_whole(args.out / 'table.md', table.encode())
    sys.stdout.write(table)


def scores_of(config: Path, start: str, seed: int, options: Sequence[str],
              out: Path) -> dict[str, float]:
    """The last scores of one training, in percent; it runs unless it did with these options."""
    folder = out / f'{config.stem}_{start.replace(" ", "-")}_{seed}'
    record = folder / 'scores.json'
    settings = dict(config=str(config), options=[f'randomness.seed={seed}', *options])
    if record.is_file():
        saved = json.loads(record.read_text())
        if saved['settings'] == settings:
            return saved['scores']
        raise ValueError(f'{folder} holds a run with other options ({saved["settings"]}): choose '
                         'another --out, or remove it.')
    sys.stderr.write(f'{config.stem}, {start}, seed {seed} ...\n')
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / 'output.log'
    with log.open('w') as file:
        code = subprocess.run(
            [sys.executable, TRAIN, config, '--work-dir', folder, '--cfg-options',
             *settings['options']], stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        raise ValueError(f'training {config} failed ({code}): {_last_line(log)} See {log}.')
    scores = read_scores(folder)
    write_whole(record, json.dumps(dict(settings=settings, scores=scores), indent=2).encode())
    return scores


def read_scores(folder: Path) -> dict[str, float]:
    """The last validation in the newest log of a run, in percent, by the names of the table.

    Raises:
        ValueError: If there is none.
    """
    newest = max(folder.glob('*/vis_data/scalars.json'), key=lambda path: path.stat().st_mtime)
    lines = [json.loads(line) for line in newest.read_text().splitlines()]
    found = [line for line in lines if SCORES.keys() & line.keys()]
    if not found:
        raise ValueError(f'{newest} has none of the scores {", ".join(SCORES)}.')
    return {name: found[-1][key] * factor for key, (name, factor) in SCORES.items()
            if key in found[-1]}


def format_table(rows: Sequence[tuple[str, str, Sequence[dict[str, float]]]]) -> str:
    """One row for each config and start: mean and standard deviation over the seeds.

    Args:
        rows: Config, start, and the scores of each seed.
    """
    names = [name for name, _ in SCORES.values()
             if any(name in results[0] for _, _, results in rows)]
    return markdown_table([
        dict(config=config, encoder=start, **{
            name: _summary([scores[name] for scores in results]) if name in results[0] else ''
            for name in names}) for config, start, results in rows])


def _summary(values: Sequence[float]) -> str:
    spread = f' ± {stdev(values):.1f}' if len(values) > 1 else ''
    return f'{mean(values):.1f}{spread}'


def _last_line(log: Path) -> str:
    return (log.read_text().strip().splitlines() or [''])[-1]


if __name__ == '__main__':
    sys.exit(run_tool(main, parse_args()))
