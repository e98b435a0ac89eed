"""What counts as a whole number."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from addp_mm.whole_numbers import check_positive, check_whole


def test_whole_numbers_of_all_libraries() -> None:
    check_whole(a=-3, b=np.int64(4), c=np.uint8(5), d=torch.tensor(6), e=2**70)


@pytest.mark.parametrize('value', [1.9, 2., True, np.True_, '1', None, [1], np.float32(1),
                                   torch.tensor(1.)])
def test_everything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match='b must be a whole number, got '):
        check_whole(a=1, b=value)


@pytest.mark.parametrize('value', [0, -1, 1.5])
def test_numbers_of_things(value: float) -> None:
    check_positive(a=1, b=np.int64(2))
    with pytest.raises(ValueError, match='b must be '):
        check_positive(a=1, b=value)
