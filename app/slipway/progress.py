"""Shows how far long work on all records is: as bars on a terminal, as lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

ShowProgress = Callable[[str, int, int], None]
"""Receives the name of the work, how much of it is done, and how much it is in all."""

_SECONDS_BETWEEN_LINES: Final = 5.0


def show_nothing(work: str, done: int, total: int) -> None:
    """For work that nobody watches."""


@contextmanager
def progress_on_stderr() -> Iterator[ShowProgress]:
    """Shows progress on standard error. The first line or bar appears with the first call."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress)


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress, self._tasks = progress, dict[str, TaskID]()

    def __call__(self, work: str, done: int, total: int) -> None:
        task = self._tasks.get(work)
        if task is None:
            task = self._tasks[work] = self._progress.add_task(work, total=total)
        self._progress.update(task, completed=done, total=total)


class _Lines:
    """A line at the start and the end of each work, and every few seconds between."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._last_at: dict[str, float] = {}
        self._ended: set[str] = set()

    def __call__(self, work: str, done: int, total: int) -> None:
        now = time.monotonic()
        is_recent = now - self._last_at.get(work, float("-inf")) < _SECONDS_BETWEEN_LINES
        if work in self._ended or (done < total and is_recent):
            return
        self._last_at[work] = now
        if done >= total:
            self._ended.add(work)
        self._console.print(f"{work}: {done} of {total}")
