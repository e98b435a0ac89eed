"""How a message lists names: the first ones, and how many more there are."""
from __future__ import annotations

from collections.abc import Iterable


def listed(names: Iterable[str], limit: int = 5) -> str:
    """Some names for one line: ``'a, b and 3 more'``; all of them where there are no more.

    Args:
        names: In the order in which they are to be shown.
        limit: How many are written out.
    """
    names = list(names)
    more = len(names) - limit
    return ', '.join(names[:limit]) + (f' and {more} more' if more > 0 else '')
