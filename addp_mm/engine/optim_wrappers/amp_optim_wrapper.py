"""Mixed precision where there is a GPU, plain training where there is none."""
from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import autocast
from torch import nn

from ...models.layers import cpu_has_bfloat16
from ...registry import OPTIM_WRAPPERS
from ..unwrapped import unwrapped
from .finite_guard import REMEDIES, BufferBackup, gradient_norm
from .full_precision import keep_full_precision

_AMP_DEVICES = ('cuda', 'npu', 'mlu', 'musa')      # those of mmengine's AmpOptimWrapper
_DTYPES = ('bfloat16', 'float16', 'float32')
_CPU_DTYPES = ('float32', 'bfloat16', 'auto')


@OPTIM_WRAPPERS.register_module()
class PortableAmpOptimWrapper(AmpOptimWrapper):
    """mmengine's ``AmpOptimWrapper`` that also runs without a GPU and keeps the weights finite.

    The loss is scaled for float16 only; bfloat16 has the range of float32. Without a GPU, where
    ``AmpOptimWrapper`` stops, it trains in ``cpu_dtype`` and says so.

    A gradient that is not finite never reaches the weights: the step is left out, the buffers that
    its forward passes have changed (statistics of batch norms) are put back, and after
    ``max_skips`` such steps in a row training stops. The check is here and not in a hook because
    only here gradient and step are both at hand. With ``clip_grad`` the norm that is checked is the
    one clipping has brought to the host already; without it, the norm is computed. All processes
    have the same gradients and so leave out the same steps.

    Args:
        loss_scale: As in ``AmpOptimWrapper``, for float16: 'dynamic', a number, or arguments of
            ``GradScaler`` (the reference release: ``dict(growth_interval=500)``).
        dtype: 'bfloat16', 'float16', or 'float32' for none, on a GPU.
        cpu_dtype: 'float32' or 'bfloat16', without a GPU; 'auto' is bfloat16 where the processor
            has instructions for it, and is then three to four times as fast in products.
        max_skips: Steps in a row that may be left out. float16 needs a few at its start, until the
            scale of the loss fits.
        full_precision: Names of parts of the model that stay in float32, see
            :func:`keep_full_precision`.
        **kwargs: ``optimizer``, ``accumulative_counts`` and ``clip_grad`` of ``OptimWrapper``.

    Raises:
        ValueError: If a dtype is unknown.
        FloatingPointError: In training, after too many steps with gradients that are not finite.
    """

    def __init__(self, loss_scale: str | float | dict = 'dynamic',
                 dtype: str | torch.dtype = 'bfloat16', cpu_dtype: str | torch.dtype = 'float32',
                 max_skips: int = 20, full_precision: Sequence[str] = (), **kwargs) -> None:
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
        self.num_skips = 0
        self.full_precision = tuple(full_precision)
        self._backup = BufferBackup()

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """What the forward pass of ``model`` runs in: autocast, and no needless communication."""
        mixed = nullcontext() if self.cast_dtype == torch.float32 else autocast(
            dtype=self.cast_dtype)
        keep_full_precision(unwrapped(model), self.full_precision)
        if self._inner_count % self._accumulative_counts == 0:
            self._backup.save(model)
        with OptimWrapper.optim_context(self, model), mixed:
            yield

    def step(self, **kwargs) -> None:
        """Clip the gradients and step, unless their norm is not finite.

        Args:
            **kwargs: Arguments of the optimizer's ``step``.

        Raises:
            FloatingPointError: If this was the last of too many steps.
        """
        norm = self._clipped_norm()
        is_finite = math.isfinite(norm)
        self._count(norm)
        if not is_finite:
            self._backup.restore()
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

    def _clipped_norm(self) -> float:
        """Clip the gradients, if that is wanted, and give their norm before."""
        if self.clip_grad_kwargs or self.loss_scaler.is_enabled():
            self.loss_scaler.unscale_(self.optimizer)
        if not self.clip_grad_kwargs:
            return gradient_norm(self)
        by_norm = self.grad_name == 'grad_norm'
        norm = None if by_norm else gradient_norm(self)
        self._clip_grad()
        norms = self.message_hub.log_scalars.get('train/grad_norm') if by_norm else None
        return norm if norm is not None else norms.current() if norms else 0.

    def _count(self, norm: float) -> None:
        """Count the steps in a row whose gradients are not finite, and stop after too many."""
        if math.isfinite(norm):
            self.num_skips = 0
            return
        self.num_skips += 1
        where = f'Iteration {self.message_hub.runtime_info.get("iter", self._inner_count)}'
        print_log(f'{where}: the norm of the gradients is {norm}, the step is left out '
                  f'({self.num_skips} in a row).', logger='current', level=logging.WARNING)
        if self.num_skips > self.max_skips:
            raise FloatingPointError(
                f'{where}: the norm of the gradients was not finite in {self.num_skips} steps in '
                f'a row; the weights are still those before them. {REMEDIES}')


def _for_this_cpu(dtype: str) -> str:
    if dtype != 'auto':
        return dtype
    return 'bfloat16' if cpu_has_bfloat16() else 'float32'


def _checked(name: str, dtype: str | torch.dtype, allowed: tuple[str, ...]) -> str:
    text = str(dtype).removeprefix('torch.')
    if text not in allowed:
        raise ValueError(f'{name} must be one of {allowed}, got {text!r}.')
    return text
