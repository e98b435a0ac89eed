"""The Dockerfile: its shell lines parse, and what it copies and installs from is there."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINES = re.sub(r'\\\n', ' ', (ROOT / 'Dockerfile').read_text()).splitlines()
RUNS = [line.removeprefix('RUN ') for line in LINES if line.startswith('RUN ')]


def run(command: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(['sh', '-c', command], capture_output=True, text=True, cwd=ROOT,
                          env={'PATH': '/usr/bin:/bin', **environment})


def test_shell_lines_parse():
    assert len(RUNS) == 4
    for command in RUNS:
        assert run(f'set -n; {command}').returncode == 0, command


def test_named_files_exist():
    copied = [line.split()[1] for line in LINES if line.startswith('COPY ')]
    named = re.findall(r'(?:requirements|tools)/[\w./]+', ' '.join(RUNS))
    assert len(named) >= 4 and all((ROOT / name).exists() for name in [*copied, *named])


@pytest.mark.parametrize('device, has_index', [('cpu', True), ('cuda', False)])
def test_only_cpus_have_an_index_of_their_own(device: str, has_index: bool):
    command = next(command for command in RUNS if 'DEVICE' in command)
    done = run(f'pip() {{ echo "$*"; }}; {command}', DEVICE=device)
    assert ('--extra-index-url https://download.pytorch.org/whl/cpu ' in done.stdout) == has_index
    assert done.stdout.endswith('torch torchvision\n')


def test_another_device_is_refused():
    command = next(command for command in RUNS if 'DEVICE' in command)
    done = run(f'pip() {{ echo "$*"; }}; {command}', DEVICE='tpu')
    assert (done.returncode, done.stdout) == (2, '') and 'got tpu' in done.stderr
