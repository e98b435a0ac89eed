"""Imports the OpenMMLab libraries without a line of theirs that says nothing to a user."""
from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

# The OneDL forks print this, as a message of level DEBUG, where a client of OneDL's is missing.
LINE = 'Could not import OneDL'


@contextmanager
def without_onedl_line() -> Iterator[None]:
    """Leave ``LINE`` out of what is printed."""
    with redirect_stdout(_WithoutLine(sys.stdout)):
        yield


class _WithoutLine:
    """A stream that drops one line; loggers made meanwhile keep it, so it hands on all others."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._dropped = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write, as a text stream does; ``print`` writes the end of a line by itself."""
        end_of_dropped = self._dropped and text == '\n'
        self._dropped = text.startswith(LINE)
        return len(text) if self._dropped or end_of_dropped else self._stream.write(text)
