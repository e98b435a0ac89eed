"""Reads lists of paths, as editors on all systems store them."""
from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from .image_reader import shown_name

_UTF_16_MARKS = (b'\xff\xfe', b'\xfe\xff')
_LOOKED_AT = 1 << 16        # bytes of a file that tell whether it is a text


def read_lines(path: Path, expected: str = 'one path a line') -> list[str]:
    """The lines of a text file without blanks at their ends, see :func:`lines_of`.

    Args:
        path: The file.
        expected: What to name in its place where it is no text.

    Raises:
        ValueError: If it is no text.
    """
    with path.open('rb') as file:
        start = file.read(_LOOKED_AT)
        if b'\0' in start and not start.startswith(_UTF_16_MARKS):
            raise ValueError(f'{shown_name(path)} is no text, expected {expected}.')
        return [line.strip() for line in lines_of(start + file.read())]


def lines_of(data: bytes) -> Iterator[str]:
    """The lines of a text, one after the other; empty ones are left out.

    It is UTF-8 or, with a mark, UTF-16. Bytes that are no UTF-8 stay in names as Python has them.

    Args:
        data: What the file holds.
    """
    encoding, errors = ('utf-16', 'replace') if data.startswith(_UTF_16_MARKS) else (
        'utf-8-sig', 'surrogateescape')
    for line in io.TextIOWrapper(io.BytesIO(data), encoding, errors, newline='\n'):
        if line.strip():
            yield line.rstrip('\r\n')
