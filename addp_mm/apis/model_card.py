"""The page that goes with a published model, made from the record of its run."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData
from torch import nn

from ..checkpoints.run_settings import read_settings
from ..checkpoints.weight_files import load_checkpoint, meta_of
from ..engine.resuming import PROCESSES
from ..models.layers import FROZEN_WEIGHTS
from ..version import __version__
from ..visualization.curves import read_run

_TAGS = ['addp', 'addp_mm', 'openmmlab']
_USE = """```python
from addp_mm.apis import ADDPInferencer

addp = ADDPInferencer.from_pretrained('{name}')
images = addp.generate(16, seed=1)              # (16, H, W, 3), uint8 RGB
edits = addp.inpaint('photo.jpg', 'mask.png')
vectors = addp('photos/')['predictions']        # features of the encoder
```"""


def model_card(model: nn.Module, weights: str | Path | None = None, name: str = 'FOLDER',
               license: str | None = None, scores: Mapping[str, float] | None = None,
               use: str = _USE) -> ModelCard:
    """Write down what a model is, what it was trained on and how well it does.

    Args:
        model: The model.
        weights: Its file. If that is a checkpoint, data, steps and seed come from it, and the
            scores of the last validation from the logs beside it.
        name: The folder or the repository on the hub.
        license: Identifier of the hub, such as 'apache-2.0'; None: not chosen yet.
        scores: Further scores by name, for example of ``evaluate_generation.py``.
        use: How the folder is used, with ``{name}`` in it.
    """
    meta = _meta(weights)
    generates = hasattr(model, 'data_preprocessor')
    data = ModelCardData(
        license=license, library_name='addp_mm', tags=_TAGS, pipeline_tag=
        'unconditional-image-generation' if generates else 'image-feature-extraction')
    text = [f'# {Path(name).name}', _summary(model), '## Use', use.replace('{name}', name),
            '## Training', _table(('what', 'value'), _training(meta)) or
            'The file of the weights says nothing of the training.',
            '## Scores', _table(('score', 'value', 'from'), _scores(weights, meta, scores or {}))
            or 'None were measured.',
            '## Licence', license or 'Not chosen yet: ask whoever published the model.',
            f'Written by addp_mm {__version__}. The method is ADDP '
            '([arXiv 2306.05423](https://arxiv.org/abs/2306.05423)).']
    return ModelCard(f'---\n{data.to_yaml()}\n---\n\n' + '\n\n'.join(text) + '\n')


def _meta(weights: str | Path | None) -> dict[str, Any]:
    return meta_of(load_checkpoint(weights)) if weights is not None else {}


def _summary(model: nn.Module) -> str:
    count = sum(p.numel() for p in model.parameters()) / 1e6
    line = f'{type(model).__name__}, {count:.3g} M trained parameters'
    preprocessor = getattr(model, 'data_preprocessor', None)
    if preprocessor is None or not hasattr(preprocessor, 'grid_size'):
        return f'{line}.'
    (height, width), (rows, columns) = preprocessor.image_size, preprocessor.grid_size
    return (f'{line}; images of {height} x {width} pixels, {rows} x {columns} tokens out of '
            f'{preprocessor.num_codes} codes.')


def _training(meta: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    if 'source' in meta:
        yield 'converted from', f'`{meta["source"]}`, SHA-256 {meta.get("source_sha256")}'
    settings = read_settings(meta['cfg']) if isinstance(meta.get('cfg'), str) else {}
    loader = settings.get('train_dataloader') or {}
    if dataset := loader.get('dataset'):
        yield 'data', _data(dataset)
    for key, title in (('epoch', 'epochs'), ('iter', 'iterations'), ('seed', 'seed'),
                       ('time', 'finished')):
        if meta.get(key) is not None:
            yield title, meta[key]
    if 'batch_size' in loader:
        steps = (settings.get('optim_wrapper') or {}).get('accumulative_counts', 1)
        yield 'batch', f'{loader["batch_size"]} x {meta.get(PROCESSES, 1)} processes x {steps}'
    for part, digest in meta.get(FROZEN_WEIGHTS, {}).items():
        yield f'file of {part}', f'SHA-256 {digest}'


def _data(dataset: Mapping[str, Any]) -> str:
    """Kind and folder of a data set, without the way there, which is nobody's business."""
    place = [str(dataset[key]) for key in ('data_root', 'data_prefix', 'ann_file')
             if isinstance(dataset.get(key), str) and dataset[key]]
    names = [Path(part).name for part in place if Path(part).name]
    return f'{dataset.get("type")}' + (f' of `{"/".join(names)}`' if names else '')


def _scores(weights: str | Path | None, meta: Mapping[str, Any], scores: Mapping[str, float]
            ) -> Iterator[tuple[object, ...]]:
    for score, value in scores.items():
        yield score, f'{value:.4g}', 'measured by itself'
    if 'iter' not in meta or weights is None:
        return
    try:
        held_out = read_run(Path(weights).parent).held_out
    except (FileNotFoundError, ValueError):     # no logs beside the file
        return
    for score, points in sorted(held_out.items()):
        until = [value for iteration, value in points if iteration <= meta['iter']]
        if until:
            yield score, f'{until[-1]:.4g}', 'validation during the training'


def _table(head: tuple[str, ...], rows: Iterator[tuple[object, ...]]) -> str:
    """A table of Markdown; '' without rows."""
    lines = [f'| {" | ".join(str(cell).replace("|", "/") for cell in row)} |' for row in rows]
    return '\n'.join([f'| {" | ".join(head)} |', '|---' * len(head) + '|', *lines]
                     ) if lines else ''
