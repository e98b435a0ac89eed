"""Finds what would make the host wait for a GPU, also where there is none."""
from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Waits(TorchDispatchMode):
    """Notes what makes the host wait for a device: values read, places or rows counted.

    The draws of ratios and their counts are the host's own, on tensors made there; finite.py reads
    where the numbers are on a CPU only.
    """

    NAMES = {'_local_scalar_dense', 'nonzero', 'masked_select', 'equal', 'is_nonzero', 'unique_dim'}
    ON_THE_HOST = ('mask_schedule.py', 'token_mask.py', 'finite.py')

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Callable, types: tuple, args: tuple = (),
                           kwargs: dict | None = None) -> Any:
        if func.overloadpacket.__name__ in self.NAMES:
            files = [frame.filename for frame in traceback.extract_stack()]
            if not any(name.endswith(self.ON_THE_HOST) for name in files):
                self.found.append(str(func))
        return func(*args, **(kwargs or {}))
