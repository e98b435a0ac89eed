"""mmengine's loading of checkpoints, made safe.

mmengine's runner (``load_from``, ``resume``) and ``init_cfg=dict(type='Pretrained')`` read files
and URLs with loaders that run what a pickle contains. Importing this module puts
:func:`addp_mm.checkpoints.weight_files.load_checkpoint` in their place, which reads .safetensors
files as well.
"""
from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import apply_to

from .weight_files import load_checkpoint


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


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_safe_http(filename: str, map_location: str | torch.device | None = None) -> Any:
    """Download a checkpoint, once, and read it as :func:`load_from_safe_file` does.

    It is kept in the folder 'checkpoints' of torch's hub, under its name and a hash of its URL.

    Args:
        filename: The URL.
        map_location: Device of the tensors; the CPU if None.

    Returns:
        What the file holds.

    Raises:
        urllib.error.URLError: If it cannot be downloaded.
        ValueError: If it is broken, or would run code.
    """
    digest = hashlib.sha256(filename.encode()).hexdigest()[:8]
    name = f'{digest}-{Path(urlparse(filename).path).name}'
    target = Path(torch.hub.get_dir()) / 'checkpoints' / name
    if is_main_process():
        _download(filename, target)
    barrier()
    _download(filename, target)             # on the other machines of a run, which share no folder
    return load_from_safe_file(str(target), map_location)


def _download(url: str, target: Path) -> None:
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), progress=False)
