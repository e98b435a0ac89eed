"""What is said of a name that nothing knows: the nearest one that is known."""
from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

_NEAR = 0.6         # least similarity of a name that may have been meant, of difflib


def check_names(place: str, given: Collection[str], known: Collection[str]) -> None:
    """See that all names of a dictionary are known.

    Args:
        place: What the dictionary is, for the message.
        given: Its keys.
        known: The keys it may have.

    Raises:
        ValueError: If one is not known; the nearest known one is named.
    """
    for name in given:
        if name not in known:
            raise ValueError(f'{place} has no setting {name!r}{nearest(name, known)}')


def nearest(name: str, known: Collection[str]) -> str:
    """The end of a message on an unknown name: the nearest known one, or all of them."""
    close = get_close_matches(name, known, 1, _NEAR)
    if close:
        return f'; did you mean {close[0]!r}?'
    return f', expected one of {", ".join(sorted(known))}.'
