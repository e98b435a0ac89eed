"""How a command ends: an exit code, and one line on what the user can mend."""
from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import distributed

from ..engine.interruption import end_with_parent
from ..error_origin import is_on_purpose, message_of, places

EXIT_FAILED = 1             # a training failed
EXIT_USER_ERROR = 2         # as argparse
EXIT_INTERRUPTED = 130      # what shells report after Ctrl-C
Main = Callable[[Sequence[str] | None], object]
OUT_OF_MEMORY = (
    '{what} Lower train_dataloader.batch_size, and raise optim_wrapper.accumulative_counts as much '
    'to keep the effective batch; or compute layers twice: activation_checkpointing=[names of '
    'layers], in detectors and segmenters model.backbone.with_cp=True. Commands that generate or '
    'test: --batch-size, or test_dataloader.batch_size.')


def run(main: Main, words: Sequence[str] | None = None, resumable: bool = False) -> int:
    """Call the main function of a command and turn what stops it into an exit code.

    An error was raised on purpose, about the user's input, if the ``raise`` stands in this package
    or in the file of ``main``; so is a missing package, a file that cannot be read or written
    outside of a training loop, and a GPU whose memory is full. Everything else is a bug, and keeps
    its traceback.

    Args:
        main: The function; it takes the words of the command line.
        words: These; None: those of this process.
        resumable: Whether the same command goes on where it was stopped.

    Returns:
        0; 1 after a training that failed and 2 after an error that the user
        can mend, both said on stderr, the latter as one line; 130 after Ctrl-C.
    """
    end_with_parent()
    logging.raiseExceptions = False     # a log file on a full disk has no traceback for each line
    try:
        main(words)
    except KeyboardInterrupt:
        hint = ' Run the same command again to go on.' if resumable else ''
        sys.stderr.write(f'Interrupted.{hint}\n')
        return EXIT_INTERRUPTED
    except torch.OutOfMemoryError as error:
        sys.stderr.write(f'error: {OUT_OF_MEMORY.format(what=_what_was_wanted(error))}\n')
        return EXIT_USER_ERROR
    except (RuntimeError, FloatingPointError, ImportError, OSError, ValueError) as error:
        if not is_meant_for_user(error, main):
            raise
        if isinstance(error, (RuntimeError, FloatingPointError)):
            sys.stderr.write(f'{error}\n')
            return EXIT_FAILED
        sys.stderr.write(f'error: {_file_in_the_way(error) or message_of(error)}\n')
        return EXIT_USER_ERROR
    if distributed.is_initialized():
        distributed.barrier()       # or torchrun might end a process that still writes
        distributed.destroy_process_group()
    return 0


def _file_in_the_way(error: Exception) -> str:
    """What helps where a file stands in the place of a folder; empty if that is not the error."""
    if not isinstance(error, (FileExistsError, NotADirectoryError)) or not error.filename:
        return ''
    if isinstance(error, FileExistsError) and places(error)[-1].function not in ('mkdir',
                                                                                 'makedirs'):
        return ''
    path = Path(error.filename)
    file = next((place for place in (path, *path.parents) if place.is_file()), None)
    return f'Expected a folder at {file}, found a file: name another folder.' if file else ''


def _what_was_wanted(error: torch.OutOfMemoryError) -> str:
    """The sentences before those on how full the device is, which name addresses and processes."""
    return re.split(r' GPU \d', str(error).splitlines()[0])[0]


def is_meant_for_user(error: Exception, main: Main) -> bool:
    """Whether an error is about the user's input, see :func:`run`."""
    last = places(error)[-1]
    is_of_tool = last.file == main.__code__.co_filename and last.line.startswith('raise')
    if is_of_tool or is_on_purpose(error) or isinstance(error, ImportError):
        return True
    trains = any(Path(place.file).name == 'loops.py' and place.function == 'run'
                 for place in places(error))
    return isinstance(error, OSError) and not trains
