"""The mean corruption error against values made by hand."""
from __future__ import annotations

import pytest

from addp_mm.evaluation.corruption_error import (
    ALEXNET_ERRORS,
    CORRUPTIONS,
    SEVERITIES,
    corruption_error,
)


def accuracies(top1: dict[str, float] | None = None) -> dict[tuple[str, int], float]:
    """Right are 100 - 20 x severity percent, or what is given for a corruption: 40 on average."""
    return {(c, s): (top1 or {}).get(c, 100 - 20 * s) for c in CORRUPTIONS for s in SEVERITIES}


def test_by_hand():
    error = corruption_error(accuracies(dict(fog=100)))
    # 60 % of errors against AlexNet's 88.6428 %.
    assert error.by_corruption['gaussian_noise'] == pytest.approx(67.6873925)
    assert error.by_corruption['fog'] == 0
    assert error.mean == pytest.approx(72.7250141)      # the 14 others, over 15


def test_alexnet_itself_has_100():
    error = corruption_error(accuracies({c: 100 - e for c, e in ALEXNET_ERRORS.items()}))
    assert list(error.by_corruption.values()) == pytest.approx([100] * 15)
    # The mean of AlexNet's errors, which other papers print as 78.9.
    assert sum(ALEXNET_ERRORS.values()) / 15 == pytest.approx(78.9, abs=0.01)


def test_nothing_is_missing_or_unknown():
    some = accuracies()
    del some['fog', 3]
    with pytest.raises(ValueError, match=r"74 accuracies: 1 missing \[\('fog', 3\)\]"):
        corruption_error(some)
    with pytest.raises(ValueError, match=r"1 unknown \[\('mist', 1\)\]"):
        corruption_error({**accuracies(), ('mist', 1): 5.})
