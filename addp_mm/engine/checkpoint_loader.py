"""mmengine's loading of local checkpoints, made safe.

mmengine's runner (``load_from``, ``resume``) and ``init_cfg=dict(type='Pretrained')`` read local
files with a loader that runs what a pickle contains. Importing this module puts
:func:`addp_mm.weights.load_checkpoint` in its place, which reads .safetensors files as well.
"""
from __future__ import annotations

import os
from typing import Any

import torch
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import apply_to

from ..weights import load_checkpoint


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_safe_file(filename: str, map_location: str | torch.device | None = None) -> Any:
    """Read a local checkpoint without running code in it.

    Args:
        filename: The file.
        map_location: Device of the tensors; the CPU if None.

    Returns:
        What the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, or would run code.
    """
    content = load_checkpoint(os.path.expanduser(filename))
    if map_location is None or str(map_location) == 'cpu':
        return content
    return apply_to(content, lambda x: isinstance(x, torch.Tensor), lambda x: x.to(map_location))
