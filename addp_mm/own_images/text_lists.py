"""Reads lists of paths, as editors on all systems store them."""
from __future__ import annotations

from pathlib import Path

from ..datasets.image_reader import shown_name

_UTF_16_MARKS = (b'\xff\xfe', b'\xfe\xff')
_LOOKED_AT = 1 << 16        # bytes of a file that tell whether it is a text


def read_lines(path: Path, expected: str = 'one path a line') -> list[str]:
    """The lines of a text file without blanks at their ends; empty ones are left out.

    It is UTF-8 or, with a mark, UTF-16. Bytes that are no UTF-8 stay in names as Python has them.

    Args:
        path: The file.
        expected: What to name in its place where it is no text.

    Raises:
        ValueError: If it is no text.
    """
    with path.open('rb') as file:
        start = file.read(_LOOKED_AT)
        is_utf_16 = start.startswith(_UTF_16_MARKS)
        if b'\0' in start and not is_utf_16:
            raise ValueError(f'{shown_name(path)} is no text, expected {expected}.')
        data = start + file.read()
    text = data.decode('utf-16', 'replace') if is_utf_16 else data.decode(
        'utf-8-sig', 'surrogateescape')
    return [line.strip() for line in text.split('\n') if line.strip()]
