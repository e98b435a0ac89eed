"""What a processor computes quickly in."""
from __future__ import annotations

import functools

import torch

_INSTRUCTIONS = ('avx512_bf16', 'amx_bf16', 'bf16')     # x86 twice, Arm


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware.

    Elsewhere bfloat16 is emulated and slower than float32.
    """
    if hasattr(torch.cpu, 'get_capabilities'):
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in _INSTRUCTIONS)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
