"""Where an error was raised, and whether on purpose."""
from __future__ import annotations

import re
import traceback
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parent
_IN_A_WORKER = 'in DataLoader worker process'
_FRAME = re.compile(r'File "(.+)", line (\d+), in (.+)\n +(.*)')


class Place(NamedTuple):
    """A line of code: its file, its number, the function it is in, and the line itself."""

    file: str
    number: int
    function: str
    line: str

    @property
    def is_ours(self) -> bool:
        """Whether it is of this package."""
        return PACKAGE in Path(self.file).resolve().parents

    def __str__(self) -> str:
        return f'{Path(self.file).name}, line {self.number}'


def places(error: BaseException) -> list[Place]:
    """The lines that led to an error, the raising one last, be it in a data loader's process."""
    if _IN_A_WORKER in str(error):      # it holds the worker's traceback as text
        return [Place(file, int(number), name, line)
                for file, number, name, line in _FRAME.findall(str(error))]
    return [Place(frame.filename, frame.lineno or 0, frame.name, frame.line or '')
            for frame in traceback.extract_tb(error.__traceback__)]


def is_on_purpose(error: BaseException) -> bool:
    """Whether a ``raise`` of this package made an error: its message is for the user."""
    last = places(error)[-1]
    return last.is_ours and last.line.startswith('raise')


def message_of(error: BaseException) -> str:
    """What an error says, in one line.

    Of an error in a data loader's process, whose text is a whole traceback, it is the last part.
    """
    text = str(error).rpartition(f'\n{type(error).__name__}: ')[2]
    return ' '.join(text.split())
