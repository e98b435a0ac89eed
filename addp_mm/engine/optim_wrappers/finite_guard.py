"""What keeps a training finite: bad steps are left out, with all that they have changed."""
from __future__ import annotations

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

REMEDIES = (
    'Go on from the last checkpoint with a lower learning rate (--resume --cfg-options '
    'optim_wrapper.optimizer.lr=...), with more range (optim_wrapper.dtype=bfloat16, or float32), '
    'or with stronger clipping (optim_wrapper.clip_grad.max_norm=...).')


class BufferBackup:
    """A copy of the state that forward passes change, such as the statistics of batch norms."""

    def __init__(self) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def save(self, model: nn.Module) -> None:
        """Copy the floating-point buffers of a model."""
        buffers = [b for b in model.buffers() if b.is_floating_point()]
        if [id(b) for b in buffers] != [id(b) for b, _ in self._pairs]:
            self._pairs = [(b, b.clone()) for b in buffers]
        elif buffers:
            torch._foreach_copy_([copy for _, copy in self._pairs], buffers)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the copies back."""
        for buffer, copy in self._pairs:
            buffer.copy_(copy)


def gradient_norm(wrapper: OptimWrapper) -> float:
    """L2 norm of all gradients of an optimizer, 0 if there are none."""
    grads = [p.grad for group in wrapper.optimizer.param_groups for p in group['params']
             if p.grad is not None]
    return float(nn.utils.get_total_norm(grads)) if grads else 0.


def leaves_out_steps(wrapper: OptimWrapper | OptimWrapperDict) -> bool:
    """Whether the last step of any optimizer was left out."""
    parts = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    return any(getattr(part, 'num_skips', 0) for part in parts)
