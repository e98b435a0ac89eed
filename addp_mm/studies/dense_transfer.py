"""Detection and segmentation from the pre-trained encoder and from scratch, trained alike."""
from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..checkpoints.weight_files import sha256_of
from ..own_images.trainings import Stage, run_stage
from ..result_folder import ResultFolder
from .label_efficiency import checkpoint_paths
from .tables import markdown_table, mean_and_spread

# What is changed in a config for each start.
STARTS: dict[str, dict[str, Any]] = {
    'pre-trained': {}, 'from scratch': {'model.backbone.init_cfg': None}}
# What the evaluators of mmdet and mmseg call it, its name in the table, and its factor to percent.
SCORES = {
    'coco/bbox_mAP': ('box AP', 100),
    'coco/bbox_mAP_50': ('box AP50', 100),
    'coco/segm_mAP': ('mask AP', 100),
    'coco/segm_mAP_50': ('mask AP50', 100),
    'mIoU': ('mIoU', 1),
    'aAcc': ('pixel accuracy', 1),
}
_SEED = 'randomness.seed'


def check_runs(seeds: Sequence[int], options: Mapping[str, Any]) -> None:
    """See that each seed is a run of its own, in its own folder.

    Args:
        seeds: Of the trainings.
        options: What else is changed in the configs.

    Raises:
        ValueError: If a seed is named twice, or the options set what the study sets.
    """
    if len(set(seeds)) != len(seeds):
        raise ValueError(f'--seeds takes each seed once, got {list(seeds)}: a run that counts '
                         'twice would make the spread smaller than it is.')
    for key, flag in ((_SEED, '--seeds'), ('work_dir', '--out')):
        if key in options:
            raise ValueError(f'--cfg-options {key}={options[key]} would hold for all runs alike: '
                             f'use {flag} for it.')


def scores_of(config: Path, start: str, seed: int, options: Mapping[str, Any], out: Path,
              say: Callable[[str], None]) -> dict[str, float] | None:
    """The last scores of one training, which runs unless it did with these settings.

    Args:
        config: The training of a detector or segmentor.
        start: One of :data:`STARTS`.
        seed: Of the training.
        options: What else is changed in the config; the start has the last word.
        out: The training works in a folder of its own in here.
        say: Takes the lines that tell how far it is.

    Returns:
        The scores in percent, by the names of the table; None while another process trains.

    Raises:
        StageError: If the training fails.
        ValueError: If it ran with other settings or start values, or has no score.
    """
    name = f'{config.stem}_{start.replace(" ", "-")}_{seed}'
    stage = Stage(name, config, out / name, {_SEED: seed, **options, **STARTS[start]})
    settings = dict(config=str(config),
                    options=[f'{key}={value}' for key, value in stage.options.items()])

    def train() -> dict[str, Any]:
        run_stage(stage, say, f'[{config.stem}, {start}, seed {seed}]')
        return dict(scores=read_scores(stage.work_dir))

    record = ResultFolder(out).make(f'{name}/scores', train, dict(settings=settings),
                                    dict(made_with=_contents(stage.cfg)))
    return record and record['scores']


def _contents(cfg: Config) -> dict[str, Any]:
    """What a config file says, and hashes of the weights that it names, if they are files here."""
    settings = {key: value for key, value in cfg.to_dict().items() if key != 'work_dir'}
    weights = {path: sha256_of(path) for path in checkpoint_paths(cfg.model)
               if Path(path).is_file()}
    return dict(config=settings, weights=weights)


def read_scores(folder: Path) -> dict[str, float]:
    """The last validation in the newest log of a run, in percent, by the names of the table.

    Raises:
        ValueError: If there is none.
    """
    logs = list(folder.glob('*/vis_data/scalars.json'))
    if not logs:
        raise ValueError(f'{folder} has no log with scores, vis_data/scalars.json: expected '
                         "visualizer.vis_backends=[dict(type='LocalVisBackend')] in the config.")
    newest = max(logs, key=lambda path: path.stat().st_mtime)
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
