"""A progress bar."""
from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr while a ``with`` lasts, if that is a terminal, by one process only.

    Args:
        title: What is done.

    Yields:
        A function that takes how many steps are done and how many there are.
    """
    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(),
               TimeElapsedColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console)
    task = bar.add_task(title, total=None)

    def report(done: int, total: int) -> None:
        if console.is_terminal and is_main_process():
            bar.start()
            bar.update(task, completed=done, total=total)

    try:
        yield report
    finally:
        if console.is_terminal:
            bar.stop()
