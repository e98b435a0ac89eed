"""Numbers of a training that make no sense stop it, those that surprise are said."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from addp_mm.apis.check_numbers import check_numbers


def training(**options: object) -> Config:
    cfg = Config(dict(
        train_cfg=dict(max_epochs=2, val_interval=1), optim_wrapper=dict(optimizer=dict(lr=1e-3)),
        default_hooks=dict(checkpoint=dict(interval=1))))
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize('key, value', [
    ('train_cfg.max_epochs', 0), ('train_cfg.max_epochs', -3), ('train_cfg.max_epochs', 'many'),
    ('train_cfg.max_iters', 1.5), ('train_cfg.val_interval', 0),
    ('optim_wrapper.optimizer.lr', -1.), ('optim_wrapper.optimizer.lr', float('nan')),
    ('optim_wrapper.optimizer.lr', 'fast'), ('default_hooks.checkpoint.filename_tmpl', 'a.pth'),
    ('optim_wrapper.clip_grad.max_norm', -1), ('optim_wrapper.clip_grad.maxnorm', 1)])
def test_numbers_that_cannot_be_right(key: str, value: object):
    with pytest.raises(ValueError, match=f'{key.rpartition(".")[0]}.*{key.rpartition(".")[2]}'):
        check_numbers(training(**{key: value}))


def test_numbers_that_may_be_right():
    assert check_numbers(training()) == []
    assert check_numbers(Config(dict(test_cfg=dict()))) == []
    said = check_numbers(training(**{
        'optim_wrapper.optimizer.lr': 0., 'default_hooks.checkpoint.interval': -1}))
    assert len(said) == 2 and 'nothing is learned' in said[0] and 'No checkpoint' in said[1]
