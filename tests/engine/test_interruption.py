"""Processes end with their parents, and workers outlive a signal that is for all."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from addp_mm.engine.interruption import PARENT, Interruption, exit_code, shield_workers

pytestmark = pytest.mark.skipif(sys.platform != 'linux', reason='needs prctl, which Linux has')
CHILD = ('from addp_mm.engine.interruption import end_with_parent as end\n'
         "end()\nprint('ready', flush=True)\nimport time\ntime.sleep(60)\n")


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


@pytest.mark.parametrize('variables, ends', [
    ({PARENT: 'parent'}, True), ({'TORCHELASTIC_RUN_ID': '1'}, True), ({}, False)])
@pytest.mark.slow
def test_child_ends_with_its_killed_parent(variables: dict, ends: bool) -> None:
    code = ('import os, subprocess, sys\n'
            f'env = os.environ | {variables!r}\n'
            f'if {PARENT!r} in env: env[{PARENT!r}] = str(os.getpid())\n'
            f'child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=env)\n'
            'print(child.pid, flush=True)\nchild.wait()\n')
    with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE,
                          text=True) as parent:
        child = int(parent.stdout.readline())
        while 'ready' not in parent.stdout.readline():
            pass
        parent.kill()
        parent.wait()
        if ends:
            wait_for(lambda: not is_alive(child))
        else:
            time.sleep(0.2)
            assert is_alive(child)
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(Path('/proc/1/comm').read_text().startswith(('python', 'torchrun')),
                    reason='the first process may be the parent')
def test_child_of_a_torchrun_that_ended_while_it_was_starting(tmp_path: Path) -> None:
    code = ('import os, subprocess, sys\n'
            'env = os.environ | {"TORCHELASTIC_RUN_ID": "1"}\n'
            'wait = "import os, time\\nwhile os.getppid() != 1: time.sleep(0.05)\\n"\n'
            f'child = subprocess.Popen([sys.executable, "-c", wait + {CHILD!r}], env=env)\n'
            'print(child.pid, flush=True)\n')
    with open(tmp_path / 'out', 'w') as file:
        subprocess.run([sys.executable, '-c', code], stdout=file, check=True)
    child = int((tmp_path / 'out').read_text().split()[0])
    wait_for(lambda: not is_alive(child))
    assert 'ready' not in (tmp_path / 'out').read_text()


def test_workers_outlive_a_signal_to_all_but_not_their_parent(tmp_path: Path) -> None:
    loader = DataLoader(torch.arange(64), batch_size=1, num_workers=1)
    shield_workers(loader)
    shield_workers(loader)
    batches = iter(loader)
    next(batches)
    worker = batches._workers[0].pid
    sender = f'import os; os.kill({worker}, {int(signal.SIGTERM)}); os.kill({worker}, 10)'
    subprocess.run([sys.executable, '-c', sender], check=True)
    assert len(list(batches)) == 63
    batches = iter(loader)
    next(batches)
    batches._workers[0].terminate()
    wait_for(lambda: not is_alive(batches._workers[0].pid))
    with pytest.raises((RuntimeError, EOFError, OSError)):     # its queue may break first
        list(batches)


def test_exit_codes_are_those_of_shells() -> None:
    assert [exit_code(number) for number in (signal.SIGTERM, signal.SIGUSR1)] == [143, 138]


def test_handlers_are_put_back() -> None:
    earlier = signal.getsignal(signal.SIGTERM)
    interruption = Interruption()
    interruption.stop()             # of a test, which does not listen
    interruption.start()
    os.kill(os.getpid(), signal.SIGTERM)
    assert interruption.agree() == interruption.noted == signal.SIGTERM
    interruption.stop()
    assert signal.getsignal(signal.SIGTERM) is earlier
