"""Reads the log of a training while it grows, and says why a training failed."""
from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_TRAIN = re.compile(r'(?P<unit>Epoch|Iter)\(train\)\s+\[\s*(?P<step>\d+)(?:/(?P<steps>\d+))?\]'
                    r'(?:\[\s*(?P<batch>\d+/\d+)\])?.*?eta: (?P<eta>.+?)  .*?\bloss: (?P<loss>\S+)')
_VAL = re.compile(r'(?:Epoch|Iter)\(val\).*?\]  +(?P<metrics>\S+/\S+: .*?)(?:  data_time|$)')
# Errors that training survives, and what this package warns of; libraries warn of much else.
_NOTICE = re.compile(r' - (?:ERROR|WARNING(?= - .*(?:codebook|checkpoint|learning rate))) - '
                     r'(?P<text>.*)')
# What a command says in one line, or the end of a traceback.
_ERROR = re.compile(r'^(?:error: |(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b).*')
_TAIL_BYTES = 16384

# What is found in the end of a log, and what helps.
_REMEDIES = (
    (r'No space left on device|Errno 28|Disk quota exceeded',
     'The disk is full: make room, then run the same command again. It goes on from the last '
     'checkpoint, which is whole.'),
    (r'out of memory|DefaultCPUAllocator|Cannot allocate memory|MemoryError',
     'The memory is full: take a smaller train_dataloader.batch_size, then run the same command '
     'again.'),
    (r'KeyboardInterrupt', 'It was interrupted: run the same command again to go on.'),
    (r'unable to mmap|No space left.*shm|bus error',
     'The shared memory is full: set train_dataloader.num_workers=0.'),
)
_KILLED = ('The system ended it (signal {signal}). If the memory was full, take a smaller '
           'train_dataloader.batch_size; then run the same command again to go on.')


class StageLog:
    """Follows the log of one training from where it ends now.

    Args:
        path: The log; it need not exist yet.
        interval: Seconds between two lines on the progress.
    """

    def __init__(self, path: Path, interval: float = 10.) -> None:
        self.path = path
        self.interval = interval
        self.metrics = ''
        self._position = path.stat().st_size if path.exists() else 0
        self._said_at = -interval
        self._warned: set[str] = set()

    def report(self, say: Callable[[str], None]) -> None:
        """Read what was added, and say how far the training is, unless that was just said.

        Args:
            say: Takes a line: of progress, or of what went wrong without stopping the training.
        """
        progress = None
        for line in self._new_lines():
            if found := _TRAIN.search(line):
                progress = found
            elif found := _VAL.search(line):
                self.metrics = '  '.join(found['metrics'].split())
                self.metrics = re.sub(r':\s+', ' ', self.metrics)
            elif (found := _NOTICE.search(line)) and found['text'] not in self._warned:
                self._warned.add(found['text'])
                say(found['text'])
        if progress and time.monotonic() - self._said_at >= self.interval:
            self._said_at = time.monotonic()
            say(describe_progress(progress))

    def _new_lines(self) -> Iterator[str]:
        """Whole lines that came since the last call."""
        if not self.path.exists():
            return
        with self.path.open('rb') as file:
            file.seek(self._position)
            for line in file:
                if not line.endswith(b'\n'):
                    break
                self._position += len(line)
                yield line.decode(errors='replace').rstrip()


def describe_progress(found: re.Match) -> str:
    """One line from a line of mmengine's logger."""
    step = found['step'] + (f'/{found["steps"]}' if found['steps'] else '')
    batch = f' batch {found["batch"]}' if found['batch'] else ''
    unit = 'epoch' if found['unit'] == 'Epoch' else 'iteration'
    return f'{unit} {step}{batch}  loss {float(found["loss"]):.3f}  {found["eta"]} left'


def explain_failure(path: Path, code: int, num_lines: int = 8) -> str:
    """Why a training ended, from its exit code and the end of its log.

    Args:
        path: The log.
        code: The exit code; negative where a signal ended it.
        num_lines: Lines of the log to show where its error is not understood.

    Returns:
        A few lines: the error, what helps if that is known, and where the whole log is.
    """
    lines = _tail(path)
    error = next((line for line in reversed(lines) if _ERROR.match(line)), None)
    text = error or '\n'.join(['The end of its log:', *lines[-num_lines:]])
    remedy = _KILLED.format(signal=-code) if code < 0 and error is None else ''
    for pattern, advice in _REMEDIES:
        if re.search(pattern, '\n'.join(lines[-50:])):
            remedy = advice
            break
    return '\n'.join(filter(None, [text, remedy, f'The whole log: {path}']))


def _tail(path: Path) -> list[str]:
    if not path.exists():
        return []
    with path.open('rb') as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors='replace').splitlines()
