"""The shell scripts: any folder, arguments with spaces, several processes without a GPU."""
from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from addp_mm.checkpoints import is_whole
from tests.helpers.tiny_training import make_config, write_images

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """The tools as an installed package has them, in a folder with a space."""
    return Path(shutil.copytree(ROOT / 'tools', tmp_path / 'site packages' / '.mim' / 'tools'))


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return str(probe.getsockname()[1])


def run(script: Path, *words: str | Path, cwd: Path, **variables: str
        ) -> subprocess.CompletedProcess:
    path = f'{cwd}:{Path(sys.executable).parent}:{os.environ["PATH"]}'
    environment = {**os.environ, 'PATH': path, 'PYTHONPATH': str(ROOT), **variables}
    return subprocess.run(
        ['bash', script, *map(str, words)], cwd=cwd, env=environment, text=True, timeout=120,
        capture_output=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
@pytest.mark.slow
def test_two_processes_train_without_a_gpu(tools, tmp_path):
    config = make_config(tmp_path, write_images(tmp_path / 'my images'))
    imports = dict(imports=['tests.helpers.tiny_training'], allow_failed_imports=False)
    config.update(custom_imports=imports,
                  env_cfg=dict(dist_cfg=dict(backend='nccl')), resume=True)
    del config['work_dir']
    Config(config).dump(tmp_path / 'my config.py')
    (tmp_path / 'elsewhere').mkdir()
    done = run(tools / 'dist_train.sh', '../my config.py', 2, '--work-dir', 'my run',
               '--cfg-options', 'train_cfg.max_epochs=1', 'optim_wrapper.optimizer.lr=0.02',
               cwd=tmp_path / 'elsewhere', PORT=free_port())
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    work_dir = tmp_path / 'elsewhere' / 'my run'
    assert is_whole(work_dir / 'epoch_1.pth')
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    assert '2 processes are connected with gloo' in text and 'starting anew' in text
    assert 'Epoch(train) [1][2/2]' in text      # 8 images / (2 processes x 2 images)


@pytest.mark.parametrize('name, words, inner', [
    ('slurm_train', ['part', 'my job', 'a config.py', 'a dir'],
     ['train.py', 'a config.py', '--work-dir=a dir', '--launcher=slurm']),
    ('slurm_test', ['part', 'my job', 'a config.py', 'a.pth'],
     ['test.py', 'a config.py', 'a.pth', '--launcher=slurm'])])
def test_slurm_scripts_hand_over_every_argument(tools, tmp_path, name, words, inner):
    (tmp_path / 'srun').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'srun').chmod(0o755)
    done = run(tools / f'{name}.sh', *words, '--cfg-options', 'a=b c', cwd=tmp_path, GPUS='4',
               GPUS_PER_NODE='2', CPUS_PER_TASK='3', PYTHON='my python',
               SRUN_ARGS='--qos=high --time=1')
    got = done.stdout.splitlines()
    assert got == [
        '-p', 'part', '--job-name=my job', '--gres=gpu:2', '--ntasks=4', '--ntasks-per-node=2',
        '--cpus-per-task=3', '--kill-on-bad-exit=1', '--qos=high', '--time=1', 'my python', '-u',
        str(tools / inner[0]), *inner[1:], '--cfg-options', 'a=b c']


@pytest.mark.parametrize('code, is_queued', [(138, True), (143, True), (0, False), (1, False)])
def test_job_that_was_asked_to_end_is_queued_again(tools, tmp_path, code, is_queued):
    for name, text in (('srun', f'printf "%s\\n" "$MASTER_PORT" "$@"; exit {code}'),
                       ('scontrol', 'echo scontrol "$@"')):
        (tmp_path / name).write_text(f'#!/bin/sh\n{text}\n')
        (tmp_path / name).chmod(0o755)
    done = run(tools / 'slurm_requeue.sh', 'a config.py', 'a dir', '--amp', cwd=tmp_path,
               SLURM_JOB_ID='70123', PYTHON='my python', SRUN_ARGS='--mpi=none')
    lines = done.stdout.splitlines()
    assert done.returncode == code and lines[:11] == [
        '30123', '--kill-on-bad-exit=1', '--mpi=none', 'my python', '-u', '-m',
        'addp_mm.cli.train', 'a config.py', '--work-dir=a dir', '--launcher=slurm', '--amp']
    assert ('scontrol requeue 70123' in lines) == is_queued


@pytest.mark.parametrize('name', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test',
                                  'slurm_requeue'])
def test_missing_arguments_are_explained(tools, tmp_path, name):
    done = run(tools / f'{name}.sh', 'only_one.py', cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith('Usage: ')


def test_dist_test_hands_over_every_argument(tools, tmp_path):
    (tmp_path / 'python').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'python').chmod(0o755)
    done = run(tools / 'dist_test.sh', 'a config.py', 'a.pth', 2, '--out', 'a b', cwd=tmp_path,
               NNODES='3', NODE_RANK='1', MASTER_ADDR='host', PORT='5')
    assert done.stdout.splitlines() == [
        '-m', 'torch.distributed.run', '--nnodes=3', '--node_rank=1', '--master_addr=host',
        '--master_port=5', '--nproc_per_node=2', str(tools / 'test.py'), 'a config.py', 'a.pth',
        '--launcher', 'pytorch', '--out', 'a b']
