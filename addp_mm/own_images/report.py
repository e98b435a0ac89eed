"""A report on the three stages, in Markdown with pictures."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..visualization.curves import RunScalars, read_run
from .images import ImageSet
from .trainings import Stage

READING = {
    'vqgan': 'PSNR (dB) should rise to 20 or more, and most codes should be in use: what the '
             'tokenizer loses, no later stage brings back.',
    'mage': 'Cross-entropy (nats per token) of masked tokens must lie below the entropy of the '
            'tokens, `marginal_entropy`: a predictor at that value has learned how frequent tokens '
            'are, and nothing else. A value that rises again means that images are learned by '
            'heart.',
    'addp': 'As for the token predictor. ADDP sees noisy pixels and the reliable tokens.',
}


def write_report(path: Path, images: ImageSet, sizes: str, stages: Sequence[Stage],
                 pictures: Mapping[str, Path]) -> None:
    """Write the report.

    Args:
        path: The Markdown file; pictures are linked relative to its folder.
        images: What was trained with.
        sizes: A sentence on the sizes and why they were taken.
        stages: The finished stages.
        pictures: What ``write_pictures`` returned.
    """
    links = {name: os.path.relpath(file, path.parent) for name, file in pictures.items()}
    parts = [
        '# ADDP on your images',
        '## Images',
        f'{images.num_train} images of {images.source} to train with and {images.num_val} that are '
        f'held out, as crops of {images.image_size} pixels.',
        *[f'- {note}' for note in images.notes],
        f'{sizes}',
        '## Reconstructions',
        'Held-out images and what the tokenizer makes of them.',
        f'![reconstructions]({links["reconstructions"]})',
        '## What ADDP\'s training sees',
        'Held-out images, masked tokens, and the noisy images of each mapping function.',
        f'![noisy images]({links["training_view"]})',
    ]
    for stage in stages:
        parts += _stage_section(stage, links[f'curves_{stage.name}'])
    parts += ['## Going on by hand', _commands(stages)]
    path.write_text('\n\n'.join(parts) + '\n')


def _stage_section(stage: Stage, curves: str) -> list[str]:
    return [
        f'## Stage {stage.title}',
        f'Config `{stage.config}`, checkpoint `{stage.checkpoint}`, log `{stage.log}`.',
        READING[stage.name],
        _metrics_table(read_run(stage.work_dir)),
        f'![curves]({curves})',
    ]


def _metrics_table(run: RunScalars) -> str:
    lines = ['| held out | first | best | last |', '|---|---|---|---|']
    for key, points in sorted(run.held_out.items()):
        values = [value for _, value in points]
        falls = 'entropy' in key or 'dead' in key
        best = min(values) if falls else max(values)
        lines.append(f'| {key} | {values[0]:.3f} | {best:.3f} | {values[-1]:.3f} |')
    return '\n'.join(lines)


def _commands(stages: Sequence[Stage]) -> str:
    lines = [stage.command_line for stage in stages]
    return '\n'.join([
        'These train each stage by itself. Its learning rate has come down to zero: another round '
        'from its weights takes another `--work-dir` and `--cfg-options '
        'model.init_cfg.type=Pretrained model.init_cfg.checkpoint=FILE`. Later stages name the '
        'checkpoints of the earlier ones.', '', '```bash', *lines,
        f'tensorboard --logdir {stages[0].work_dir.parent}', '```'])
