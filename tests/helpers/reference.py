"""The recorded outputs of the reference implementation and the weights behind them."""
from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

PARITY = Path(__file__).parents[1] / 'data' / 'parity'
SHARED_PREFIX = 'token_predictor.vqgan.'


def reference_arrays() -> dict[str, Tensor]:
    """The recorded arrays by name; what each is stands in ``data/parity/README.md``."""
    with np.load(PARITY / 'tiny.npz') as file:
        return {name: torch.from_numpy(file[name].copy()) for name in file.files}


def reference_dims() -> dict[str, dict]:
    """Sizes of the parts: 'dims' of ADDP, 'token_predictor_dims' and 'vqgan'."""
    description = json.loads((PARITY / 'tiny.json').read_text())
    return {name: part for name, part in description.items() if name != 'shapes'}


def reference_state_dict() -> dict[str, Tensor]:
    """State dict of the small model in the names of the release, the frozen parts included.

    The token predictor's tokenizer shares the tensors of the tokenizer.
    """
    shapes = json.loads((PARITY / 'tiny.json').read_text())['shapes']
    weights: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name.startswith(SHARED_PREFIX):
            weights[name] = weights[name.removeprefix('token_predictor.')]
        else:
            weights[name] = _draw(name, shape)
    return weights


def reference_part(prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, such as 'vqgan.', by their names without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in reference_state_dict().items()
            if name.startswith(prefix)}


def _draw(name: str, shape: list[int]) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    noise = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        return 1 + 0.1 * noise if name.endswith('.weight') else 0.1 * noise
    if len(shape) == 3 or name.endswith('quantize.embedding.weight'):
        return 0.5 * noise
    if name.endswith(('embeddings.weight', 'token_emb.weight')):
        return 2 * noise / math.sqrt(shape[-1])
    return noise / math.sqrt(math.prod(shape[1:]))
