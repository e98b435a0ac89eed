"""A bad step leaves nothing behind, with and without clipping, and no bad checkpoint is written."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn
from torch.optim import AdamW

from addp_mm.engine.optim_wrappers import PortableAmpOptimWrapper
from tests.helpers.tiny_training import make_config, write_images


@pytest.mark.parametrize('clip_grad', [
    None, dict(max_norm=1.), dict(type='value', clip_value=1.)])
def test_bad_step_changes_neither_weights_nor_statistics(clip_grad: dict | None) -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3))
    wrapper = PortableAmpOptimWrapper(
        optimizer=AdamW(model.parameters()), clip_grad=clip_grad, accumulative_counts=2)
    for factor in (1., 1., float('nan'), 1., 1., 1.):
        if wrapper._inner_count == 2:
            before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        images = torch.rand(4, 3) * factor
        with wrapper.optim_context(model):
            loss = model(images).square().mean()
        wrapper.update_params(loss)
        if wrapper._inner_count == 4:
            floats = [name for name, tensor in before.items() if tensor.is_floating_point()]
            assert all(torch.equal(model.state_dict()[name], before[name]) for name in floats)
            assert wrapper.num_skips == 1
    assert wrapper.num_skips == 0
    assert all(tensor.isfinite().all() for tensor in model.state_dict().values())
    assert not torch.equal(model.state_dict()['0.running_mean'], before['0.running_mean'])


def runner_of(folder: Path, images: Path, **options: object) -> Runner:
    cfg = Config(make_config(folder, images))
    cfg.merge_from_dict(dict(options))
    return Runner.from_cfg(cfg)


def test_huge_rate_stops_before_it_replaces_a_whole_checkpoint(tmp_path: Path) -> None:
    images = write_images(tmp_path / 'images')
    runner_of(tmp_path / 'run', images, **{'train_cfg.max_epochs': 1}).train()
    before = (tmp_path / 'run' / 'epoch_1.pth').read_bytes()
    rate = {'optim_wrapper.optimizer.lr': 1e30, 'resume': True, 'optim_wrapper.max_skips': 3}
    with pytest.raises(FloatingPointError, match='not finite in 4 steps.*--resume --cfg-options'):
        runner_of(tmp_path / 'run', images, **rate, **{'train_cfg.max_epochs': 9}).train()
    assert [path.name for path in (tmp_path / 'run').glob('*.pth')] == ['epoch_1.pth']
    assert (tmp_path / 'run' / 'epoch_1.pth').read_bytes() == before
    runner_of(tmp_path / 'run', images, resume=True,
              **{'optim_wrapper.optimizer.lr': 1e-5, 'train_cfg.max_epochs': 2}).train()
    assert (tmp_path / 'run' / 'epoch_2.pth').exists()


def test_training_that_ends_among_bad_steps_is_no_success(tmp_path: Path) -> None:
    runner = runner_of(tmp_path / 'run', write_images(tmp_path / 'images'),
                       **{'optim_wrapper.optimizer.lr': 1e30})
    with pytest.raises(FloatingPointError, match='ended while its steps were left out'):
        runner.train()
    assert list((tmp_path / 'run').glob('*.pth')) == []
