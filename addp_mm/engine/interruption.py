"""Signals that ask a training to end: it does so behind the iteration it is in.

A batch system sends SIGTERM before it takes a machine away, or SIGUSR1 some time before the end of
a job (Slurm: ``--signal=USR1@120``).
"""
from __future__ import annotations

import ctypes
import functools
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import distributed
from torch.utils.data import DataLoader

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
PARENT = 'ADDP_MM_PARENT'           # holds the process that its child must not outlive
_FIRST_EXIT_CODE = 128              # what shells and Slurm report of a process that a signal ended
_SET_DEATH_SIGNAL = 1               # prctl's PR_SET_PDEATHSIG


class Interruption:
    """Notes a signal of :data:`SIGNALS` in place of dying from it, in any of the processes.

    All processes of a run learn of it in the same iteration, over gloo: no GPU waits for it.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._pid = os.getpid()
        self._earlier: dict[int, Any] = {}
        self._group: distributed.ProcessGroup | None = None

    def start(self) -> None:
        """Begin to listen, in the main thread only, where Python allows it."""
        if threading.current_thread() is threading.main_thread():
            self._earlier = {number: signal.signal(number, self._note) for number in SIGNALS}
        if distributed.is_initialized() and distributed.get_world_size() > 1:
            self._group = distributed.new_group(backend='gloo')

    def stop(self) -> None:
        """Put the earlier handlers back, if it has begun."""
        for number, handler in self._earlier.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._earlier = {}

    @property
    def noted(self) -> int | None:
        """Number of the signal that this process got."""
        return self._number

    def agree(self) -> int | None:
        """Number of the signal that any process got; all of them must ask."""
        if self._group is None:
            return self._number
        number = torch.tensor(self._number or 0)
        distributed.all_reduce(number, distributed.ReduceOp.MAX, group=self._group)
        return int(number) or None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:        # a forked process has inherited this handler
            self._number = number


def exit_code(number: int) -> int:
    """The exit code of a training that a signal has ended: 143 for SIGTERM, 138 for SIGUSR1."""
    return _FIRST_EXIT_CODE + number


def end_with_parent() -> None:
    """Have this process get SIGTERM when its parent ends, in whatever way (Linux only).

    It does so for the processes of ``torchrun``, and where the parent asks for it with the
    variable :data:`PARENT`. Others may well outlive the shell that started them.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None and 'TORCHELASTIC_RUN_ID' not in os.environ:
        return
    _end_with_parent(signal.SIGTERM)
    is_orphan = _has_lost_torchrun() if parent is None else os.getppid() != int(parent)
    if is_orphan:       # it had ended before the signal was asked for
        sys.exit(exit_code(signal.SIGTERM))


def _has_lost_torchrun() -> bool:
    """Whether the parent is the system's first process, and that one no program of Python."""
    try:
        first = Path('/proc/1/comm').read_text(encoding='utf-8')
    except OSError:
        return False
    return os.getppid() == 1 and not re.match('python|torchrun', first)


def shield_workers(loader: DataLoader) -> None:
    """Let a loader's worker processes live until their parent ends them, and no longer.

    A batch system sends its signal to every process. Without this, the workers would die from it,
    and the iteration with them.
    """
    if not isinstance(loader.worker_init_fn, functools.partial) or (
            loader.worker_init_fn.func is not _start_worker):
        loader.worker_init_fn = functools.partial(_start_worker, loader.worker_init_fn)


def _start_worker(init: Callable[[int], None] | None, worker_id: int) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_obey_parent, daemon=True).start()
    _end_with_parent(signal.SIGKILL)
    if init is not None:
        init(worker_id)


def _obey_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def _end_with_parent(number: int) -> None:
    if sys.platform == 'linux':
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, number)
