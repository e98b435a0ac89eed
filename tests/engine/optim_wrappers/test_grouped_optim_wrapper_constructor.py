"""GroupedOptimWrapperConstructor: few groups, the reference's rule of weight decay."""
from __future__ import annotations

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

import addp_mm.engine  # noqa: F401

RULE = dict(flat_decay_mult=0., bias_decay_mult=0., norm_decay_mult=0.)


class Parts(nn.Module):
    """Each kind of parameter that ADDP has."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.mask_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.token_embed = nn.Embedding(6, 4)
        self.norm = nn.LayerNorm(4)
        self.conv = nn.Conv2d(3, 4, 2)
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.LayerNorm(4)])
        self.gamma = nn.Parameter(torch.zeros(4))
        self.batch_norm = nn.BatchNorm2d(4)
        self.fixed = nn.Parameter(torch.zeros(4, 4), requires_grad=False)
        self.token_projection = nn.Module()
        self.token_projection.bias = nn.Parameter(torch.zeros(6))
        self.grid = nn.Module()
        self.grid.bias = nn.Parameter(torch.zeros(2, 3))


@pytest.fixture(autouse=True)
def scope() -> None:
    DefaultScope.get_instance('groups', scope_name='mmpretrain')


def groups_of(model: nn.Module, **changes) -> list[dict]:
    config = dict(constructor='GroupedOptimWrapperConstructor', paramwise_cfg=RULE,
                  optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.05))
    return build_optim_wrapper(model, {**config, **changes}).optimizer.param_groups


def test_reference_rule_of_weight_decay():
    model = Parts()
    decays = {id(p): group['weight_decay'] for group in groups_of(model) for p in group['params']}
    got = {name: decays.get(id(p)) for name, p in model.named_parameters()}
    expected = {name: None if name == 'fixed' else
                0. if p.ndim == 1 or name.endswith('.bias') else 0.05
                for name, p in model.named_parameters()}
    assert got == expected
    assert {name for name, decay in got.items() if decay} == {
        'pos_embed', 'mask_token', 'token_embed.weight', 'conv.weight', 'layers.0.weight'}


def test_one_group_for_each_setting():
    model = Parts()
    groups = groups_of(model)
    assert [g['weight_decay'] for g in groups] == [0.05, 0.]
    assert sum(len(g['params']) for g in groups) == len(list(model.parameters())) - 1
    groups = groups_of(model, paramwise_cfg=dict(
        RULE, custom_keys={'layers': dict(lr_mult=0.5), 'conv': dict(decay_mult=0.1)}))
    assert sorted((g['lr'], round(g['weight_decay'], 4)) for g in groups) == [
        (0.05, 0.05), (0.1, 0.), (0.1, 0.005), (0.1, 0.05)]


def test_one_line_is_logged_for_each_group(caplog):
    logger = MMLogger.get_current_instance()
    logger.handlers.append(caplog.handler)
    groups_of(Parts())
    lines = [r.getMessage() for r in caplog.records if r.levelname == 'INFO']
    assert len(lines) == 2 and 'weight decay 0.05' in lines[0] and 'lr 1.00e-01' in lines[0]
    logger.info('still heard')
    assert 'still heard' in caplog.text


def test_without_rule_there_is_one_group():
    (group,) = groups_of(Parts(), paramwise_cfg=None)
    assert group['weight_decay'] == 0.05
