"""What the C library does with the memory of freed tensors."""
from __future__ import annotations

import ctypes
import os

# Of mallopt(3).
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_TENSOR = 2**30     # larger ones are still given back
_MOST_KEPT = 2**31 - 1      # unused memory at the end of the heap, the most that mallopt takes
_USERS_SETTINGS = ('MALLOC_TRIM_THRESHOLD_', 'MALLOC_MMAP_THRESHOLD_', 'MALLOC_MMAP_MAX_',
                   'MALLOC_TOP_PAD_')


def keep_freed_memory() -> bool:
    """Let this process keep the memory of freed tensors for the next ones.

    On a CPU glibc returns every large tensor to the system at once, and the system fills the pages
    of the next one with zeros: up to a third of a step. A GPU's memory is kept by torch itself.
    Peak memory grows by about 5 %. It does nothing without glibc, or if the environment says how
    glibc's malloc is to work (MALLOC_..., GLIBC_TUNABLES).

    Returns:
        Whether memory is kept.
    """
    tunables = os.environ.get('GLIBC_TUNABLES', '')
    if 'glibc.malloc' in tunables or any(name in os.environ for name in _USERS_SETTINGS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):     # another C library; Windows has none to name
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_TENSOR) and mallopt(_TRIM_THRESHOLD, _MOST_KEPT))
