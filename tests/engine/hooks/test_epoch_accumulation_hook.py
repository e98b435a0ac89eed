"""EpochAccumulationHook: no gradient waits for its step while a checkpoint is written."""
from __future__ import annotations

import pytest
import torch
from mmengine.runner import Runner

from tests.helpers.tiny_training import hook_of, make_config, write_images


def weights_after(config: dict, stop_at: int | None = None) -> tuple[torch.Tensor, int]:
    runner = Runner(**config)
    hook_of(runner, 'RecordLosses').stop_at = stop_at
    steps = []
    wrapper = runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    step = wrapper.optimizer.step
    wrapper.optimizer.step = lambda *args, **kwargs: (steps.append(runner.iter), step())[1]
    try:
        runner.train()
    except KeyboardInterrupt:
        assert stop_at is not None
    return runner.model.conv.weight.detach().clone(), steps


def test_resume_with_accumulation_is_exact(tmp_path):
    config = make_config(tmp_path / 'whole', write_images(tmp_path / 'images'))
    config['custom_hooks'] = [*config['custom_hooks'], dict(type='EpochAccumulationHook')]
    config['optim_wrapper']['accumulative_counts'] = 3      # of 4 batches in an epoch
    config['param_scheduler'] = None
    whole, steps = weights_after(config)
    assert steps == [2, 3, 6, 7, 10, 11]
    config.update(work_dir=str(tmp_path / 'cut'), experiment_name='cut', resume=True)
    weights_after(config, stop_at=5)
    resumed, steps = weights_after(config | dict(experiment_name='on'))
    assert steps == [6, 7, 10, 11]
    assert torch.equal(resumed, whole)


def test_last_step_of_an_epoch_averages_over_what_is_left(tmp_path):
    config = make_config(tmp_path, write_images(tmp_path / 'images'))
    config['custom_hooks'] = [dict(type='EpochAccumulationHook')]
    config['optim_wrapper']['accumulative_counts'] = 3
    runner = Runner(**config)
    assert runner.train_loop is not None
    wrapper = runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    hook_of(runner, 'EpochAccumulationHook').before_train_epoch(runner)
    factors = []
    for _ in range(4):
        factors.append(float(wrapper.scale_loss(torch.ones(()))))
        wrapper._inner_count += 1
    torch.testing.assert_close(factors, [1 / 3, 1 / 3, 1 / 3, 1.])


@pytest.mark.parametrize('counts', [4, 5])
def test_more_than_an_epoch_cannot_be_gathered(tmp_path, counts):
    config = make_config(tmp_path, write_images(tmp_path / 'images'))
    config['custom_hooks'] = [dict(type='EpochAccumulationHook')]
    config['optim_wrapper']['accumulative_counts'] = counts
    config['train_cfg'] = dict(by_epoch=True, max_epochs=1)
    Runner(**config).train()
    (log,) = tmp_path.glob('*/*.log')
    warning = 'accumulative_counts is 5, an epoch has 4 batches'
    assert (warning in log.read_text()) == (counts == 5)
