"""Numbers of a training that make no sense stop it, those that surprise are said."""
from __future__ import annotations

import pytest
from mmengine.config import Config

from addp_mm.apis.check_numbers import check_numbers, look_at_other_schedules
from addp_mm.apis.model_source import find_shipped
from addp_mm.config_file import read_config_file


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
    ('train_cfg.max_epochs', True), ('optim_wrapper.accumulative_counts', 1.5),
    ('optim_wrapper.accumulative_counts', 0), ('train_cfg.val_begin', 'x'),
    ('train_cfg.dynamic_intervals', 3), ('train_cfg.dynamic_intervals', [(1, 2.5)]),
    ('default_hooks.checkpoint.interval', 'x'), ('default_hooks.checkpoint.interval', 1.5),
    ('default_hooks.checkpoint.max_keep_ckpts', 'x'),
    ('randomness.seed', 'abc'), ('randomness.seed', 1.5),
    ('default_hooks.checkpoint.max_keep_ckpts', 0),
    ('optim_wrapper.clip_grad.max_norm', -1), ('optim_wrapper.clip_grad.maxnorm', 1)])
def test_numbers_that_cannot_be_right(key: str, value: object):
    with pytest.raises(ValueError, match=f'{key.rpartition(".")[0]}.*{key.rpartition(".")[2]}'):
        check_numbers(training(**{key: value}))


def test_numbers_that_may_be_right():
    assert check_numbers(training()) == []
    assert check_numbers(training(**{'randomness.seed': None})) == []
    assert check_numbers(Config(dict(test_cfg=dict()))) == []
    said = check_numbers(training(**{
        'optim_wrapper.optimizer.lr': 0., 'default_hooks.checkpoint.interval': -1}))
    assert len(said) == 2 and 'nothing is learned' in said[0] and 'No checkpoint' in said[1]


BY_ITERATION = dict(max_iters=9, val_interval=1)


@pytest.mark.parametrize('options, said', [
    (dict(val_dataloader=dict(), train_cfg=dict(val_begin=3)), ''),
    (dict(val_dataloader=dict(batch_size=1), train_cfg=dict(val_begin=3)), 'never validated'),
    (dict(by_iteration=True), 'No checkpoint is written before the end'),
    (dict(by_iteration=True, by_epoch=False), ''),
    (dict(by_iteration=True, by_epoch=False, interval=4, counts=2), ''),
    (dict(by_iteration=True, by_epoch=False, interval=3, counts=2), 'loses the gradients'),
    (dict(counts=2, interval=3), '')])
def test_checkpoints_and_validations(options: dict, said: str):
    cfg = training(**{key: value for key, value in options.items() if '_' in key
                      and key not in ('by_iteration', 'by_epoch')})
    if options.get('by_iteration'):
        cfg.train_cfg = BY_ITERATION
    cfg.default_hooks.checkpoint.update(
        interval=options.get('interval', 1), by_epoch=options.get('by_epoch', True))
    cfg.optim_wrapper.accumulative_counts = options.get('counts', 1)
    found = check_numbers(cfg)
    assert len(found) == bool(said) and said in ''.join(found)


@pytest.mark.parametrize('schedule, is_said', [
    (dict(type='CosineAnnealingLR', end=2), False), (dict(type='CosineAnnealingLR', end=3), True),
    (dict(type='PolyLR', end=4, convert_to_iter_based=True), True),
    (dict(type='CosineAnnealingLR', T_max=4), False), (dict(type='MultiStepLR', end=4), False),
    (dict(type='CosineAnnealingLR', end=90, by_epoch=False), False)])
def test_a_schedule_of_another_length(schedule: dict, is_said: bool):
    warm_up = dict(type='LinearLR', end=1)
    for schedules in ([warm_up, schedule], dict(generator=[warm_up, schedule], other=[warm_up])):
        found = check_numbers(training(param_scheduler=schedules))
        assert len(found) == is_said and ('ends at' in ''.join(found)) == is_said


@pytest.mark.parametrize('schedule, loop, said', [
    (dict(end=20, by_epoch=False), dict(max_epochs=2), ''),
    (dict(by_epoch=False, T_max=3), dict(max_epochs=2), ''),
    (dict(end=2, by_epoch=False), dict(max_epochs=2), 'ends at 2, the training at 20 iterations'),
    (dict(end=2), dict(max_epochs=2), ''),
    (dict(end=2, convert_to_iter_based=True), dict(max_iters=20), ''),
    (dict(end=3, convert_to_iter_based=True), dict(max_iters=20), 'ends at 30, the training at')])
def test_a_schedule_in_the_other_unit(schedule: dict, loop: dict, said: str):
    cfg = training(param_scheduler=dict(type='CosineAnnealingLR', **schedule))
    cfg.train_cfg, cfg.default_hooks = loop, {}
    found = look_at_other_schedules(cfg, epoch_length=10)
    assert len(found) == bool(said) and said in ''.join(found)
    assert not check_numbers(cfg)


def test_a_schedule_that_never_moves():
    cfg = training(param_scheduler=[dict(type='PolyLR'), dict(type='LinearLR', by_epoch=False)])
    cfg.train_cfg, cfg.default_hooks = BY_ITERATION, {}
    assert [said[:33] for said in check_numbers(cfg)] == ['The schedule PolyLR counts epochs']


@pytest.mark.parametrize('name', [
    'digits/addp', 'digits/vqgan', 'addp/vit-b_1600e', 'mmseg/upernet_vit-b_80k',
    'mmdet/mask-rcnn_vitdet-b_100e', 'addp/benchmarks/finetune_r50_300e'])
def test_shipped_trainings_surprise_nobody(name: str):
    path = find_shipped('configs') / f'{name}.py'
    assert check_numbers(read_config_file(path, import_custom_modules=False)) == []
