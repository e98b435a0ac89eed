"""Whole runs on a GPU: resumed, sharded over one process, and stopped by a full memory."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from addp_mm.registry import HOOKS
from tests.helpers.dense_runs import ROOT
from tests.helpers.tiny import tiny_addp_cfg
from tests.helpers.tiny_training import (
    RecordLosses,
    losses_of,
    make_config,
    make_recipe,
    write_images,
)
from tests.helpers.tools import run_tool

pytestmark = pytest.mark.gpu
NO_DROPS = dict(backbone=dict(drop_rate=0.), neck=dict(drop_rate=0.))


@HOOKS.register_module()
class WriteLosses(RecordLosses):
    """Keeps them in a file, for a test that cannot look into the process."""

    def after_run(self, runner: Runner) -> None:
        torch.save(self.losses, Path(runner.work_dir, 'losses.pth'))


@HOOKS.register_module()
class AskForAllMemory(Hook):
    """Asks for more than any GPU has, in the second iteration."""

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: object,
                         **kwargs: object) -> None:
        if batch_idx == 1:
            torch.empty(2**45, dtype=torch.uint8, device='cuda')


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., dict]:
    """Makes the arguments of a runner: 2 epochs of 4 batches, with dropout."""
    images = write_images(tmp_path / 'images')

    def make(name: str, dtype: str, **changes: object) -> dict:
        cfg = make_config(tmp_path / name, images)
        cfg['model'] = tiny_addp_cfg(tmp_path)
        cfg['train_dataloader']['dataset']['pipeline'][2]['scale'] = 32
        cfg['train_cfg'] = dict(by_epoch=True, max_epochs=2)
        cfg['optim_wrapper'].update(
            dtype=dtype, cpu_dtype='float32', loss_scale=dict(init_scale=256., growth_interval=3))
        return cfg | changes

    return make


@pytest.mark.parametrize('dtype', ['float32', 'float16'])
def test_a_resumed_run_repeats_the_uninterrupted_one(config: Callable, dtype: str,
                                                     gpu: torch.device):
    """In float16 with the scale of the loss, which has grown by then."""
    whole = losses_of(config('whole', dtype))
    first = losses_of(config('cut', dtype), stop_at=5)
    torch.manual_seed(99)
    second = losses_of(config('cut', dtype, resume=True))
    assert list(second) == [4, 5, 6, 7]
    # But for the order of atomic sums, which AdamW makes larger.
    assert {**first, **second} == pytest.approx(whole, rel=1e-2)
    assert len(set(whole.values())) == 8


def test_one_process_that_shards_trains_as_one_that_does_not(tmp_path: Path, gpu: torch.device):
    write_images(tmp_path / 'images')
    losses = []
    for name in ('plain', 'sharded'):
        cfg = make_recipe(ROOT / 'configs/addp/addp_vit-h_800e_fsdp.py', tmp_path, **{
            'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False,
            'optim_wrapper.dtype': 'float32', 'optim_wrapper.cpu_dtype': 'float32'})
        cfg.model = tiny_addp_cfg(tmp_path, **NO_DROPS)
        cfg.custom_imports.imports.append('tests.gpu.test_runs')
        cfg.custom_hooks.append(dict(type='WriteLosses'))
        if name == 'plain':
            cfg.pop('runner_type'), cfg.pop('strategy')
        cfg.dump(tmp_path / f'{name}.py')
        command = ['bash', ROOT / 'tools/dist_train.sh', tmp_path / f'{name}.py', '1',
                   '--work-dir', tmp_path / name]
        port = str(29600 + os.getpid() % 300)
        done = subprocess.run(
            command, env={**os.environ, 'PYTHON': sys.executable, 'PORT': port},
            capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        losses.append(torch.load(tmp_path / name / 'losses.pth'))
    assert len(losses[0]) == 8 and losses[1] == pytest.approx(losses[0], rel=5e-3)


def test_a_full_memory_is_one_line(config: Callable, tmp_path: Path, real_gpu: torch.device,
                                   capsys: pytest.CaptureFixture):
    cfg = Config(config('full', 'float32', custom_hooks=[dict(type='AskForAllMemory')]))
    cfg.dump(tmp_path / 'full.py')
    assert run_tool('train', tmp_path / 'full.py') == 2
    error = capsys.readouterr().err
    assert error.startswith('error: CUDA out of memory. Tried to allocate 32768.00 GiB. Lower ')
    assert error.count('\n') == 1
