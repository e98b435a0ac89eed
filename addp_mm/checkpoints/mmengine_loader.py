"""mmengine's loading of checkpoints, made safe.

mmengine's runner (``load_from``, ``resume``) and ``init_cfg=dict(type='Pretrained')`` read files
with loaders that run what a pickle contains. Importing this module puts
:func:`addp_mm.checkpoints.weight_files.load_checkpoint` behind them, for every scheme that mmengine
has: files, 'http://', 'torchvision://', 'open-mmlab://', 'mmcls://', 's3://', 'pavi://'. The
loaders themselves stay mmengine's. .safetensors files are read as well, and 'addp://' is a scheme
of released files: ``load_from = 'addp://vit-l'``.

With ``ADDP_STOCK_LOADERS=1`` in the environment before the import mmengine's own reading stays.
"""
from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlparse

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint

from .releases import SCHEME
from .torch_file import MapLocation
from .weight_files import load_checkpoint

# Set to 1 in the environment it leaves mmengine's reading of checkpoints as it is.
STOCK_VARIABLE = 'ADDP_STOCK_LOADERS'


def read_for_mmengine(file: str | Path | BinaryIO, map_location: MapLocation = None,
                      weights_only: bool | None = None) -> Any:
    """Read a checkpoint without running code in it, with the arguments of ``torch.load``.

    Args:
        file: A path or an open file.
        map_location: As of ``torch.load``; what was saved on a device that is not there goes to
            the CPU if None.
        weights_only: Not looked at: nothing is ever run.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is broken, or would run code.
    """
    return load_checkpoint(file, map_location=map_location)


def download_for_mmengine(url: str, model_dir: str | None = None, map_location: MapLocation = None,
                          progress: bool = True, check_hash: bool = False,
                          file_name: str | None = None) -> Any:
    """Download a checkpoint, once, and read it, with the arguments of ``torch.hub``'s function.

    It is kept where torch keeps it, under the same name if that has a hash in it
    ('resnet50-0676ba61.pth'); other names also get a hash of the URL, so that files of one name
    from two places are told apart.

    Raises:
        urllib.error.URLError: If it cannot be downloaded.
        ValueError: If it is broken, or would run code.
    """
    name = Path(urlparse(url).path).name
    found = re.search(r'[-_]([0-9a-f]{8,})\.', name)
    if file_name is None:
        digest = hashlib.sha256(url.encode()).hexdigest()[:8]
        file_name = name if found else f'{digest}-{name}'
    target = Path(model_dir or Path(torch.hub.get_dir()) / 'checkpoints') / file_name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        expected = found.group(1) if check_hash and found else None
        torch.hub.download_url_to_file(url, str(target), expected, progress=progress)
    return load_checkpoint(target, map_location=map_location)


class _DataReader:
    """Stands for torch in a module that calls ``torch.load``."""

    load = staticmethod(read_for_mmengine)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


mmengine_checkpoint.CheckpointLoader.register_scheme(SCHEME.rstrip('/'), read_for_mmengine)


def _install() -> None:
    if hasattr(mmengine_checkpoint, '_safe_torch_load'):        # onedl-mmengine
        mmengine_checkpoint._safe_torch_load = read_for_mmengine
    else:                                                       # mmengine up to 0.10
        mmengine_checkpoint.torch = _DataReader()
    mmengine_checkpoint.load_url = download_for_mmengine


if os.environ.get(STOCK_VARIABLE, '0') != '1':
    _install()
