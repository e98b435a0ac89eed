"""What to do with trained stages and labels, as commands with the paths at hand."""
from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from ..config_file import read_config_file
from .images import LABEL_FOLDERS, is_for_labels
from .trainings import Stage


def next_commands(tools: Path, data: Path, out: Path, stages: Sequence[Stage],
                  temperature: float) -> list[str]:
    """Lines that say how to go on after the trainings.

    Args:
        tools: Folder of the command line tools.
        data: What was trained with: folder, archive or list.
        out: Where everything went.
        stages: The finished stages, ADDP last.
        temperature: What images are best generated with.
    """
    addp = stages[-1]
    images, labels = _guess_labels(data)
    prepare = [tools / 'prepare_annotations.py', images, *labels, '--pretrained', out,
               '--held-out', out / 'held_out.txt', '--out', out / 'annotations']
    return [
        'What to do next:',
        '  generate:          ' + _line(tools / 'generate.py', addp.config, addp.checkpoint,
                                        '--out', out / 'samples', '--num-images', 64,
                                        '--temperature', f'{temperature:g}'),
        f'  train again:       change these configs and run {_shown(tools / "train.py")} on them:',
        *[f'                     {stage.config}' for stage in stages],
        '  with labels (one mask an object, label images, or a file in COCO\'s format), data and '
        'configs for detection and segmentation:',
        '                     ' + _line(*prepare),
    ]


def dense_commands(tools: Path, configs: Sequence[Path]) -> list[str]:
    """Lines that say how to train and try what ``write_dense_configs`` wrote."""
    lines = ['Detection and segmentation (docs/dense.md: their environment), then pictures of what '
             'is found:']
    for config in configs:
        cfg = read_config_file(config, import_custom_modules=False)
        work_dir = Path(cfg.work_dir)
        checkpoint = work_dir / f'iter_{cfg.train_cfg.max_iters}.pth'
        lines += ['  ' + _line(tools / 'train.py', config),
                  '  ' + _line(tools / 'test.py', config, checkpoint, '--show-dir',
                               work_dir / 'pictures')]
    return lines


def _guess_labels(data: Path) -> tuple[Path | str, list[Path | str]]:
    """Where images and their labels lie, or words in capitals for them."""
    if data.is_dir() and any(data.glob('*/masks')):
        return data, []
    beside = sorted(filter(is_for_labels, data.parent.glob('*')),
                    key=lambda folder: LABEL_FOLDERS.index(folder.name.lower()))
    if data.is_dir() and beside:
        return data, [beside[0]]
    return data if data.is_dir() else 'IMAGES', ['LABELS']


def _line(*words: object) -> str:
    return shlex.join(['python', *(_shown(w) if isinstance(w, Path) else str(w) for w in words)])


def _shown(path: Path) -> str:
    """Relative to the working folder where it lies inside of it."""
    absolute, here = path.absolute(), Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else path)
