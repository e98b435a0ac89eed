"""Mixed precision where there is a GPU, plain training where there is none."""
from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import autocast
from torch import nn

from ...models.layers import cpu_has_bfloat16
from ...registry import OPTIM_WRAPPERS

_AMP_DEVICES = ('cuda', 'npu', 'mlu', 'musa')      # those of mmengine's AmpOptimWrapper
_DTYPES = ('bfloat16', 'float16', 'float32')
_CPU_DTYPES = ('float32', 'bfloat16', 'auto')


@OPTIM_WRAPPERS.register_module()
class PortableAmpOptimWrapper(AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` that also runs without a GPU and keeps the weights finite.

    The loss is scaled for float16 only; bfloat16 has the range of float32. Without a GPU, where
    ``AmpOptimWrapper`` stops, it trains in ``cpu_dtype`` and says so.

    A gradient that is not finite never reaches the weights: the step is left out, and after
    ``max_skips`` of them in a row training stops. The check is here and not in a hook because only
    here gradient and step are both at hand: a hook comes after the step, or needs a loss of its own
    from the device. The norm that is checked is the one clipping has brought to the host already,
    so nothing is waited for in addition; hence it needs ``clip_grad`` with a norm. All processes
    have the same gradients and so leave out the same steps.

    Args:
        loss_scale: As in ``AmpOptimWrapper``, for float16: 'dynamic', a number, or arguments of
            ``GradScaler`` (the reference release: ``dict(growth_interval=500)``).
        dtype: 'bfloat16', 'float16', or 'float32' for none, on a GPU.
        cpu_dtype: 'float32' or 'bfloat16', without a GPU; 'auto' is bfloat16 where the processor
            has instructions for it, and is then three to four times as fast in products.
        max_skips: Steps in a row that may be left out. float16 needs a few at its start, until the
            scale of the loss fits.
        **kwargs: ``optimizer``, ``accumulative_counts`` and ``clip_grad`` of ``OptimWrapper``.

    Raises:
        ValueError: If a dtype is unknown.
        FloatingPointError: In training, after too many steps with gradients that are not finite.
    """

    def __init__(self, loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype = 'bfloat16', cpu_dtype: str | torch.dtype = 'float32',
                 max_skips: int = 20, **kwargs) -> None:
        dtype = _checked('dtype', dtype, _DTYPES)
        cpu_dtype = _checked('cpu_dtype', cpu_dtype, _CPU_DTYPES)
        if get_device() in _AMP_DEVICES:
            super().__init__(loss_scale=loss_scale, dtype=dtype, **kwargs)
        else:
            OptimWrapper.__init__(self, **kwargs)
            self._scale_update_param = None
            cpu_dtype = _for_this_cpu(cpu_dtype)
            self.cast_dtype = getattr(torch, cpu_dtype)
            print_log(f'There is no GPU: training in {cpu_dtype}, not in mixed precision with '
                      f'{dtype}.', logger='current')
        if self.cast_dtype != torch.float16:
            self.loss_scaler = torch.amp.GradScaler(enabled=False)
        self.max_skips = max_skips
        self._num_skips = 0

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """What the forward pass of ``model`` runs in: autocast, and no needless communication."""
        mixed = nullcontext() if self.cast_dtype == torch.float32 else autocast(
            dtype=self.cast_dtype)
        with OptimWrapper.optim_context(self, model), mixed:
            yield

    def step(self, **kwargs) -> None:
        """Clip the gradients and step, unless their norm is not finite.

        Args:
            **kwargs: Arguments of the optimizer's ``step``.

        Raises:
            FloatingPointError: If this was the last of too many steps.
        """
        if self.clip_grad_kwargs:
            self.loss_scaler.unscale_(self.optimizer)
            self._clip_grad()
        is_finite = self._note_norm()
        # A scaler must see the gradients, to lower the scale; then it leaves out the step itself.
        if is_finite or self.loss_scaler.is_enabled():
            self.loss_scaler.step(self.optimizer, **kwargs)
            self.loss_scaler.update(self._scale_update_param)

    def state_dict(self) -> dict:
        """State of the optimizer, and of the loss scaler if there is one at work."""
        state = super().state_dict()
        if not state['loss_scaler']:
            del state['loss_scaler']
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over a state, also one of another dtype or of a machine with or without a GPU."""
        state_dict = dict(state_dict)
        if not state_dict.get('loss_scaler'):       # which a scaler at work would not take
            state_dict.pop('loss_scaler', None)
        super().load_state_dict(state_dict)

    def _note_norm(self) -> bool:
        """Whether the gradients are finite, as far as known; counts those in a row that are not."""
        norms = self.message_hub.log_scalars.get('train/grad_norm')
        if not self.clip_grad_kwargs or self.grad_name != 'grad_norm' or norms is None:
            return True
        norm = norms.current()
        if math.isfinite(norm):
            self._num_skips = 0
            return True
        self._num_skips += 1
        where = f'Iteration {self.message_hub.runtime_info.get("iter", self._inner_count)}'
        print_log(f'{where}: the norm of the gradients is {norm}, the step is left out '
                  f'({self._num_skips} in a row).', logger='current', level=logging.WARNING)
        if self._num_skips > self.max_skips:
            raise FloatingPointError(
                f'{where}: the norm of the gradients was not finite in {self._num_skips} steps in '
                'a row; the weights are still those before them. Go on from the last checkpoint '
                'with a lower learning rate (optim_wrapper.optimizer.lr), with more range '
                '(optim_wrapper.dtype=bfloat16, or float32), or with stronger clipping '
                '(optim_wrapper.clip_grad.max_norm).')
        return False


def _for_this_cpu(dtype: str) -> str:
    if dtype != 'auto':
        return dtype
    return 'bfloat16' if cpu_has_bfloat16() else 'float32'


def _checked(name: str, dtype: str | torch.dtype, allowed: tuple[str, ...]) -> str:
    text = str(dtype).removeprefix('torch.')
    if text not in allowed:
        raise ValueError(f'{name} must be one of {allowed}, got {text!r}.')
    return text
