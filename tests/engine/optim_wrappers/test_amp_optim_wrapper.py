"""PortableAmpOptimWrapper: runs anywhere, and keeps the weights finite."""
from __future__ import annotations

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import AdamW

from addp_mm.engine.optim_wrappers import PortableAmpOptimWrapper
from addp_mm.models.layers import cpu_has_bfloat16
from addp_mm.registry import OPTIM_WRAPPERS

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')


def make(cls: type = PortableAmpOptimWrapper, device: str = 'cpu', **kwargs
         ) -> tuple[nn.Module, OptimWrapper]:
    torch.manual_seed(0)
    model = nn.Linear(3, 3).to(device)
    kwargs.setdefault('clip_grad', dict(max_norm=1.))
    return model, cls(optimizer=AdamW(model.parameters(), lr=0.1), **kwargs)


def train(model: nn.Module, wrapper: OptimWrapper, factors: list[float]) -> list[torch.dtype]:
    """One pass for each factor of the loss; the dtypes of the outputs."""
    dtypes = []
    for factor in factors:
        with wrapper.optim_context(model):
            out = model(torch.ones(2, 3, device=model.weight.device))
        dtypes.append(out.dtype)
        wrapper.update_params(out.float().square().mean() * factor)
    return dtypes


def all_finite(model: nn.Module) -> bool:
    return all(bool(p.isfinite().all()) for p in model.parameters())


@NO_GPU
def test_without_gpu_it_is_the_plain_wrapper():
    plain, portable = make(OptimWrapper), make(accumulative_counts=1)
    train(*plain, [1., 2., 3.])
    assert train(*portable, [1., 2., 3.]) == [torch.float32] * 3
    assert torch.equal(plain[0].weight, portable[0].weight)


@NO_GPU
def test_without_gpu_the_log_says_so(caplog):
    logger = MMLogger.get_current_instance()
    logger.handlers.append(caplog.handler)
    make(dtype='float16')
    assert 'no GPU' in caplog.text and 'float32' in caplog.text


@NO_GPU
def test_bfloat16_on_a_cpu_is_an_option():
    assert train(*make(cpu_dtype='bfloat16'), [1.]) == [torch.bfloat16]


@NO_GPU
def test_the_processor_decides():
    wanted = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    assert train(*make(cpu_dtype='auto'), [1.]) == [wanted]


def test_gradients_are_accumulated():
    model, wrapper = make(accumulative_counts=2)
    start = model.weight.detach().clone()
    train(model, wrapper, [1.])
    assert torch.equal(model.weight, start)
    train(model, wrapper, [1.])
    assert not torch.equal(model.weight, start)


@pytest.mark.parametrize('bad', [float('nan'), float('inf')])
def test_step_with_a_bad_gradient_is_left_out(bad):
    model, wrapper = make()
    train(model, wrapper, [1.])
    before = model.weight.detach().clone()
    train(model, wrapper, [bad])
    assert torch.equal(model.weight, before)
    train(model, wrapper, [1.])
    assert all_finite(model) and not torch.equal(model.weight, before)


def test_too_many_in_a_row_stop_with_remedies():
    model, wrapper = make(max_skips=2)
    wrapper.message_hub.update_info('iter', 77)
    nan = float('nan')
    train(model, wrapper, [nan, nan, 1., nan, nan])
    with pytest.raises(FloatingPointError, match='Iteration 77: .* 3 steps in a row.*lr.*dtype'):
        train(model, wrapper, [nan])
    assert all_finite(model)


def test_clipping_by_value_is_not_watched():
    model, wrapper = make(clip_grad=dict(type='value', clip_value=1.))
    train(model, wrapper, [1.])
    assert all_finite(model)


@pytest.mark.parametrize('scales', [False, True])
@pytest.mark.parametrize('scaler', [{}, torch.amp.GradScaler('cpu', init_scale=8.).state_dict(),
                                    None])
def test_state_of_any_machine_is_taken_over(scales, scaler):
    model, wrapper = make()
    train(model, wrapper, [1.])
    state = wrapper.state_dict()
    if scaler is not None:
        state['loss_scaler'] = scaler
    _, other = make()
    other.loss_scaler = torch.amp.GradScaler('cpu', init_scale=4., enabled=scales)
    other.load_state_dict(state)
    assert other.loss_scaler.get_scale() == (1. if not scales else 8. if scaler else 4.)
    moments = other.optimizer.state_dict()['state'][0]['exp_avg']
    assert torch.equal(moments, wrapper.optimizer.state_dict()['state'][0]['exp_avg'])
    assert ('loss_scaler' in other.state_dict()) == scales


def test_scaler_sees_the_bad_gradient_and_lowers_its_scale():
    model, wrapper = make()
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=4.)
    before = model.weight.detach().clone()
    train(model, wrapper, [float('inf')])
    assert torch.equal(model.weight, before) and wrapper.loss_scaler.get_scale() == 2.
    train(model, wrapper, [1.])
    assert not torch.equal(model.weight, before)


@pytest.mark.parametrize('name', ['dtype', 'cpu_dtype'])
def test_unknown_dtype_is_refused(name):
    with pytest.raises(ValueError, match=f'{name} must be one of .*got .float8'):
        make(**{name: 'float8'})


def test_it_is_registered():
    assert OPTIM_WRAPPERS.get('PortableAmpOptimWrapper') is PortableAmpOptimWrapper


@pytest.mark.gpu
def test_only_float16_scales_the_loss(real_gpu: torch.device):
    for dtype, scales in [('bfloat16', False), ('float16', True), ('float32', False)]:
        model, wrapper = make(device=real_gpu, dtype=dtype, loss_scale=dict(growth_interval=500))
        assert wrapper.loss_scaler.is_enabled() == scales
        assert train(model, wrapper, [1., 1.]) == [getattr(torch, dtype)] * 2
        assert ('loss_scaler' in wrapper.state_dict()) == scales
        train(model, wrapper, [float('nan')])
        assert all_finite(model)
