"""Predictions of a classifier that mmpretrain's or our ``test.py --out`` stored.

Shapes: N images, C classes.
"""
from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def load_predictions(path: str | Path) -> tuple[Tensor, Tensor]:
    """Read scores and labels from a file of ``test.py --out FILE.pkl``.

    Only tensors and plain values are read: a file that would run anything else is refused.

    Args:
        path: The file.

    Returns:
        Scores (N, C) and labels (N,).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'There is no file of predictions {path}.')
    try:
        with path.open('rb') as file:
            samples = _PlainUnpickler(file).load()
        scores = torch.stack([torch.as_tensor(sample['pred_score']) for sample in samples])
        labels = torch.cat([torch.as_tensor(sample['gt_label']).view(1) for sample in samples])
    except Exception as error:      # a broken pickle may raise anything
        raise ValueError(
            f'{path} does not hold the predictions of a classifier with labels, as test.py '
            f'CONFIG CHECKPOINT --out FILE.pkl writes them ({type(error).__name__}: {error}).'
        ) from error
    return scores, labels


class _PlainUnpickler(pickle.Unpickler):
    """Reads tensors and what Python has built in, and calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
            ('torch.storage', '_load_from_bytes'): _load_storage,
            ('collections', 'OrderedDict'): OrderedDict,
            ('_codecs', 'encode'): _bytes_of,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f'it calls {module}.{name}')
        return known[module, name]


def _load_storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location='cpu', weights_only=True)


def _bytes_of(text: str, encoding: str) -> bytes:
    """How old pickle protocols, mmengine's among them, write bytes."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'it encodes text as {encoding}')
    return text.encode('latin1')
