"""Work in two connected processes, as tools/dist_train.sh starts them on a CPU."""
from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing import start_processes


def in_two_processes(work: Callable, folder: Path, *args: Any) -> None:
    """Call ``work(*args)`` in two processes at once, connected with gloo.

    Args:
        work: Asks ``torch.distributed`` for its rank.
        folder: Where the processes meet; a new file of it in each call.
        *args: Arguments of ``work``.
    """
    number = len(list(folder.glob('store_*')))
    start_processes(_connected, (str(folder / f'store_{number}'), work, *args), nprocs=2,
                    start_method='fork')


def _connected(rank: int, store: str, work: Callable, *args: Any) -> None:
    os.environ |= dict(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2')
    # Renew torch's pool of threads, which a fork breaks, before several threads do so at once.
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', f'file://{store}', rank=rank, world_size=2,
                                   timeout=timedelta(seconds=60))
    work(*args)
    if distributed.is_initialized():
        distributed.destroy_process_group()
