"""Settings that nothing reads stop a run before it starts, and the nearest valid one is named."""
from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config
from torch import nn

from addp_mm.apis.check_config import (
    check_custom_keys,
    check_options,
    check_settings,
    set_options,
)
from addp_mm.models.addp import ADDPViT
from addp_mm.models.mage import MAGE

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def digits(**options: object) -> Config:
    cfg = Config.fromfile(CONFIGS / 'digits' / 'addp.py')
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize('key, message', [
    ('train_dataloder.batch_size', "no setting 'train_dataloder'; did you mean 'train_dataloader'"),
    ('test_dataloader.batch_size', "no setting 'test_dataloader'; did you mean 'train_dataloader'"),
    ('optim_wraper.optimizer.lr', "did you mean 'optim_wrapper'"),
    ('resum', "did you mean 'resume'"), ('quite_another', 'expected one of .*, auto_scale_lr, '),
    ('max_epochs', 'used already.*Set what was made of it: train_cfg.max_epochs, '
                   'param_scheduler.1.end'),
    ('data_root', 'train_dataloader.dataset.data_root, val_dataloader.dataset.data_root'),
    ('tokenizer.num_codes', 'a variable that the config has used already.*'
                            'model.data_preprocessor.tokenizer')])
def test_options_that_nothing_reads_are_refused(key: str, message: str):
    with pytest.raises(ValueError, match=f'--cfg-options {key.split(".")[0]}.*{message}') as caught:
        check_options(digits(), {key: 3})
    assert '\n' not in str(caught.value)


def test_every_tool_checks_the_options_that_it_sets():
    cfg = digits()
    with pytest.raises(ValueError, match="'modle'; did you mean 'model'"):
        set_options(cfg, {'modle.head': 3})
    set_options(cfg, {'randomness.seed': 3})
    set_options(cfg, None)
    assert cfg.randomness.seed == 3
    tools = (CONFIGS.parent / 'tools').rglob('*.py')
    assert not [tool for tool in tools if 'change_config' in tool.read_text(encoding='utf-8')]


@pytest.mark.parametrize('key', [
    'train_cfg.max_epochs', 'load_from', 'resume', 'randomness.seed', 'sync_bn', 'launcher',
    'find_unused_parameters', 'model_wrapper_cfg.type', 'auto_scale_lr.base_batch_size',
    'custom_hooks.0.type', 'visualizer', 'test_dataloader'])
def test_options_that_are_read_pass(key: str):
    check_options(digits(), {key: 3})


@pytest.mark.parametrize('options, message', [
    ({'default_hooks.checkpoint.intervall': 1}, "checkpoint has no setting 'intervall'; did you "
                                                "mean 'interval'"),
    ({'default_hooks.chekpoint.interval': 1}, "no hook 'chekpoint'; did you mean 'checkpoint'"),
    ({'default_hooks.logger.intervals': 1}, "default_hooks.logger .* did you mean 'interval'"),
    ({'custom_hooks.1.sed': 1}, r'custom_hooks\.1 has no setting'),
    ({'env_cfg.cudnn_benchmrk': True}, "did you mean 'cudnn_benchmark'"),
    ({'randomness.sed': 1}, "did you mean 'seed'"),
    ({'auto_scale_lr.base_batchsize': 1}, "did you mean 'base_batch_size'"),
    ({'optim_wrapper.paramwise_cfg.norm_decay_mul': 0}, "did you mean 'norm_decay_mult'"),
    ({'optim_wrapper.paramwise_cfg.custom_keys.pos_embed.lr_mul': 2}, "did you mean 'lr_mult'"),
    ({'optim_wraper': dict(type='OptimWrapper')}, "'optim_wraper' of the config; did you mean")])
def test_parts_that_nothing_reads_are_refused(options: dict, message: str):
    with pytest.raises(ValueError, match=message) as caught:
        check_settings(digits(**options))
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('path', sorted(CONFIGS.rglob('*.py')),
                         ids=lambda path: str(path.relative_to(CONFIGS)))
def test_our_own_configs_pass(path: Path):
    if '_base_' not in path.parts:
        check_settings(Config.fromfile(path))


def test_keys_that_match_no_parameter_are_refused():
    model = nn.Module()
    model.backbone = ADDPViT(arch=dict(embed_dims=8, num_layers=1, num_heads=1,
                                       feedforward_channels=8), img_size=16, patch_size=8)
    cfg = digits()
    check_custom_keys(Config(dict(optim_wrapper=dict(paramwise_cfg=dict(
        custom_keys={'pos_embed': {}, 'layers.0.attn': {}})))), model)
    with pytest.raises(ValueError, match='custom_keys.token_embed is in the name of no parameter'):
        check_custom_keys(cfg, model)
    cfg.optim_wrapper.paramwise_cfg.custom_keys = {'backbone.pos_embd': dict(lr_mult=2.)}
    with pytest.raises(ValueError, match="pos_embd is in .*; did you mean 'pos_embed'"):
        check_custom_keys(cfg, model)


def test_unknown_keys_of_our_own_dictionaries_are_refused():
    sizes = dict(embed_dims=8, depth=1, num_heads=1)
    with pytest.raises(ValueError, match="arch has no setting 'foo', expected one of depth, "):
        MAGE(num_codes=4, grid_size=(2, 2), arch=dict(**sizes, foo=1))
    with pytest.raises(ValueError, match="no setting 'num_layer'; did you mean 'num_layers'"):
        ADDPViT(arch=dict(embed_dims=8, num_layer=1, num_heads=1, feedforward_channels=8))
