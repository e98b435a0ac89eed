from __future__ import annotations

import pytest

from addp_mm.name_lists import listed


@pytest.mark.parametrize('names, want', [([], ''), (['a'], 'a'), (['a', 'b'], 'a, b'),
                                         (['a', 'b', 'c', 'd'], 'a, b and 2 more')])
def test_what_is_left_out_is_counted(names: list[str], want: str) -> None:
    assert listed(names, limit=2) == listed(iter(names), limit=2) == want
