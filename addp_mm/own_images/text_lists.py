"""Reads lists of paths, as editors on all systems store them."""
from __future__ import annotations

from pathlib import Path

from ..datasets.image_reader import shown_name

_UTF_16_MARKS = (b'\xff\xfe', b'\xfe\xff')


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without blanks at their ends; empty ones are left out.

    It is UTF-8 or, with a mark, UTF-16. Bytes that are no UTF-8 stay in names as Python has them.

    Raises:
        ValueError: If it is no text.
    """
    data = path.read_bytes()
    if data.startswith(_UTF_16_MARKS):
        text = data.decode('utf-16', 'replace')
    elif b'\0' in data:
        raise ValueError(f'{shown_name(path)} is no text, expected one path a line.')
    else:
        text = data.decode('utf-8-sig', 'surrogateescape')
    return [line.strip() for line in text.split('\n') if line.strip()]
