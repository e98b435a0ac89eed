"""Detection and segmentation from the pre-trained encoder and from scratch, trained alike."""
from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..own_images.trainings import TRAINER, child_environment
from ..result_folder import ResultFolder
from .tables import markdown_table, mean_and_spread

# What is changed in a config for each start.
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


def scores_of(config: Path, start: str, seed: int, options: Sequence[str], out: Path,
              say: Callable[[str], None]) -> dict[str, float] | None:
    """The last scores of one training, which runs unless it did with these options.

    Args:
        config: The training of a detector or segmentor.
        start: One of :data:`STARTS`.
        seed: Of the training.
        options: What else is changed in the config, as ``--cfg-options`` takes it; the start has
            the last word.
        out: The training works in a folder of its own in here.
        say: Takes a line before the training.

    Returns:
        The scores in percent, by the names of the table; None while another process trains.

    Raises:
        ValueError: If it ran with other options, or the training fails or has no score.
    """
    name = f'{config.stem}_{start.replace(" ", "-")}_{seed}'
    settings = dict(config=str(config),
                    options=[f'randomness.seed={seed}', *options, *STARTS[start]])

    def train() -> dict[str, dict[str, float]]:
        say(f'{config.stem}, {start}, seed {seed} ...')
        run_training(config, out / name, settings['options'])
        return dict(scores=read_scores(out / name))

    record = ResultFolder(out).make(f'{name}/scores', train, dict(settings=settings))
    return record and record['scores']


def run_training(config: Path, work_dir: Path, options: Sequence[str]) -> None:
    """Run a training in a process of its own; what it prints goes to ``output.log``.

    Raises:
        ValueError: If it fails.
    """
    log = work_dir / 'output.log'
    with log.open('w') as file:
        code = subprocess.run(
            [sys.executable, *TRAINER, config, '--work-dir', work_dir, '--cfg-options', *options],
            stdout=file, stderr=subprocess.STDOUT, env=child_environment()).returncode
    if code:
        raise ValueError(f'training {config} failed ({code}): {_last_line(log)} See {log}.')


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
            name: mean_and_spread([scores[name] for scores in results]) if name in results[0]
            else '' for name in names}) for config, start, results in rows])


def _last_line(log: Path) -> str:
    return (log.read_text().strip().splitlines() or [''])[-1]
