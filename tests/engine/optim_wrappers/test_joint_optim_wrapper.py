from __future__ import annotations

import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from addp_mm.engine.optim_wrappers import JointOptimWrapperConstructor, JointOptimWrapperDict


class Pair(nn.Module):
    """Two networks, of which the second reads the first's output without a gradient to it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 2), nn.Linear(2, 1)

    def losses(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.first(x)
        return dict(first=hidden.square().mean(), second=self.second(hidden.detach()).sum())


def sgd(lr: float, **kwargs) -> dict:
    return dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=lr), **kwargs)


def build(model: Pair, **configs: dict) -> JointOptimWrapperDict:
    init_default_scope('mmpretrain')
    cfg = dict(constructor='JointOptimWrapperConstructor', **configs)
    return build_optim_wrapper(model, cfg)


def numbers(model: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def test_each_part_steps_with_its_own_loss_and_rate():
    model, x = Pair(), torch.randn(5, 3)
    wrapper = build(model, first=sgd(0.1), second=sgd(0.01))
    assert isinstance(wrapper, OptimWrapperDict)
    losses = model.losses(x)
    before = numbers(model)
    gradients = [*torch.autograd.grad(losses['first'], list(model.first.parameters())),
                 *torch.autograd.grad(losses['second'], list(model.second.parameters()))]
    with wrapper.optim_context(model):
        losses = model.losses(x)
    wrapper.update_params(losses)
    for old, gradient, lr, new in zip(before, gradients, (0.1, 0.1, 0.01, 0.01),
                                      model.parameters(), strict=True):
        torch.testing.assert_close(new, old - lr * gradient)
        assert new.grad is None


def test_accumulation_equals_one_step_on_both_halves():
    x = torch.randn(6, 3)
    models = [Pair(), Pair()]
    models[1].load_state_dict(models[0].state_dict())
    accumulated = build(models[0], **dict.fromkeys(('first', 'second'),
                                                   sgd(0.1, accumulative_counts=2)))
    accumulated.initialize_count_status(models[0], 0, 2)
    for half in x.chunk(2):
        accumulated.update_params(models[0].losses(half))
    losses = models[1].losses(x)
    whole = build(models[1], first=sgd(0.1), second=sgd(0.1))
    whole.update_params(dict(first=losses['first'], second=losses['second'] / 2))
    for a, b in zip(*map(numbers, models), strict=True):
        torch.testing.assert_close(a, b)


def test_the_last_iterations_are_not_lost_when_the_counts_do_not_divide():
    model = Pair()
    wrapper = build(model, **dict.fromkeys(('first', 'second'), sgd(0.1, accumulative_counts=2)))
    wrapper.initialize_count_status(model, 0, 3)
    changes = []
    for _ in range(3):
        before = numbers(model)
        wrapper.update_params(model.losses(torch.randn(4, 3)))
        changes.append(not torch.equal(before[0], numbers(model)[0]))
    assert changes == [False, True, True]


def test_scaled_losses_are_unscaled_before_the_step():
    x = torch.randn(5, 3)
    models = [Pair(), Pair()]
    models[1].load_state_dict(models[0].state_dict())
    scaled, plain = (build(m, first=sgd(0.1), second=sgd(0.1)) for m in models)
    for factor, part in zip((8., 32.), scaled.values(), strict=True):
        part.loss_scaler = torch.amp.GradScaler('cpu', init_scale=factor)
        part.step = lambda part=part: part.loss_scaler.step(part.optimizer)
    scaled.update_params(models[0].losses(x))
    plain.update_params(models[1].losses(x))
    for a, b in zip(*map(numbers, models), strict=True):
        torch.testing.assert_close(a, b)


def test_what_is_logged_and_stored():
    model = Pair()
    wrapper = build(model, first=sgd(0.1), second=sgd(0.01))
    assert wrapper.get_lr() == {'first.lr': [0.1], 'second.lr': [0.01]}
    assert wrapper.state_dict().keys() == {'first', 'second'}


def test_wrong_configs_and_losses_are_named():
    with pytest.raises(ValueError, match=r"names \['third'\].*'first', 'second'"):
        build(Pair(), first=sgd(0.1), third=sgd(0.1))
    with pytest.raises(ValueError, match='paramwise_cfg must stand'):
        JointOptimWrapperConstructor(dict(first=sgd(0.1)), paramwise_cfg=dict(bias_lr_mult=2))
    wrapper = build(Pair(), first=sgd(0.1), second=sgd(0.1))
    with pytest.raises(ValueError, match='got one loss'):
        wrapper.update_params(torch.zeros((), requires_grad=True))
    with pytest.raises(ValueError, match=r"got \['first'\]"):
        wrapper.update_params(dict(first=torch.zeros((), requires_grad=True)))
