"""EffectiveBatchHook: one line, and a warning that names the remedy."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import nn
from torch.optim import SGD

from addp_mm.engine.hooks import EffectiveBatchHook
from tests.helpers.tiny_training import make_config, write_images


@pytest.fixture
def config(tmp_path: Path) -> dict:
    config = make_config(tmp_path, write_images(tmp_path / 'images'))
    config['optim_wrapper']['accumulative_counts'] = 3
    return config


def log_of(config: dict, expected: int, wrapper: OptimWrapper | None = None) -> str:
    """What the hook logs at the start of a run: 2 images x 1 process x 3 accumulated."""
    runner = Runner(**config)
    assert runner.train_loop is not None
    runner.optim_wrapper = wrapper or runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    EffectiveBatchHook(expected).before_train(runner)
    log = Path(runner.log_dir, f'{runner.timestamp}.log').read_text()
    return log[log.index('Effective batch'):]


def test_line_states_the_product_and_the_rate_before_warm_up(config):
    config['param_scheduler'] = dict(type='LinearLR', start_factor=1e-3, end=10, by_epoch=False)
    log = log_of(config, expected=6)
    assert ('Effective batch: 2 images x 1 processes x 3 accumulated = 6, '
            'peak learning rate 1.0e-02') in log
    assert 'WARNING' not in log


def test_another_batch_is_warned_of_with_the_accumulation_that_helps(config):
    log = log_of(config, expected=8)
    assert 'WARNING' in log and 'accumulative_counts=4' in log and '--auto-scale-lr' in log


def test_no_accumulation_helps_where_it_does_not_divide(config):
    log = log_of(config, expected=7)
    assert '--auto-scale-lr' in log and 'accumulative_counts=' not in log


@pytest.mark.parametrize('base, warns', [(2, False), (6, True)])
def test_automatic_rate_needs_a_base_without_accumulation(config, base, warns):
    config['auto_scale_lr'] = dict(enable=True, base_batch_size=base)
    log = log_of(config, expected=6)
    assert ('it must be 2 for' in log) == warns


def test_each_of_several_optimizers_has_its_line(config):
    config['param_scheduler'] = None
    parts = {name: OptimWrapper(SGD(nn.Linear(1, 1).parameters(), lr=0.1), accumulative_counts=n)
             for name, n in [('generator', 3), ('discriminator', 1)]}
    runner = Runner(**config)
    assert runner.train_loop is not None
    runner.optim_wrapper = OptimWrapperDict(**parts)
    EffectiveBatchHook(6).before_train(runner)
    log = Path(runner.log_dir, f'{runner.timestamp}.log').read_text()
    assert re.findall(r'Effective batch \((\w+)\): .* = (\d+),', log) == [
        ('generator', '6'), ('discriminator', '2')]


def test_expected_must_be_positive():
    with pytest.raises(ValueError, match='positive'):
        EffectiveBatchHook(0)
