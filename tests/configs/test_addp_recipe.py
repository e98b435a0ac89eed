"""The pre-training recipe itself, with tiny networks on real files: it trains, stops, goes on."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

import addp_mm  # noqa: F401  (registers)
from addp_mm.checkpoints.weight_files import load_checkpoint
from tests.helpers.tiny_training import RecordLosses, make_recipe, write_images

RECIPE = Path(__file__).parents[2] / 'configs' / 'addp' / 'vit-b_1600e.py'
ITERS_PER_EPOCH = 3


def _recipe(tmp_path: Path, name: str, stop_at: int | None = None) -> Config:
    # The accumulation of 2 does not divide an epoch of 3.
    cfg = make_recipe(RECIPE, tmp_path, **{
        'train_dataloader.num_workers': 1,
        'train_dataloader.pin_memory': False,
    })
    cfg.work_dir = str(tmp_path / name)
    cfg.experiment_name = f'{name}_{stop_at}'
    cfg.custom_hooks.append(dict(type='RecordLosses', stop_at=stop_at))
    return cfg


def _train(cfg: Config) -> dict[int, float]:
    runner = Runner.from_cfg(cfg)
    if cfg.custom_hooks[-1]['stop_at'] is None:
        runner.train()
    else:
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    return next(h for h in runner.hooks if isinstance(h, RecordLosses)).losses


@pytest.mark.slow
def test_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    write_images(tmp_path / 'images', 2 * ITERS_PER_EPOCH)
    whole = _train(_recipe(tmp_path, 'whole'))
    assert len(whole) == 2 * ITERS_PER_EPOCH and len(set(whole.values())) == len(whole)
    stopped = _train(_recipe(tmp_path, 'stopped', stop_at=ITERS_PER_EPOCH + 1))
    resumed = _train(_recipe(tmp_path, 'stopped'))
    assert min(resumed) == ITERS_PER_EPOCH              # from the checkpoint after the first epoch
    assert stopped | resumed == whole

    _check_checkpoint(load_checkpoint(tmp_path / 'whole' / 'epoch_2.pth'))


def _check_checkpoint(checkpoint: dict) -> None:
    """It holds no frozen weight, and names the frozen files."""
    assert {name.split('.')[0] for name in checkpoint['state_dict']} == {'backbone', 'neck', 'head'}
    assert len(checkpoint['meta']['frozen_weights']) == 2
    counts = [len(group['params']) for group in checkpoint['optimizer']['param_groups']]
    assert sum(counts) == len(checkpoint['state_dict'])
