"""Readiness: a child reports once to its supervisor that it serves, by one byte that it writes to a pipe.

An environment variable of the child has the number of the pipe's descriptor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

VARIABLE: Final = "SLIPWAY_READY_FD"


def report_ready() -> None:
    """Reports to the supervisor, if there is one, that this process serves."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor.isdigit():
        with suppress(OSError):  # the supervisor has exited
            os.write(int(descriptor), b"1")
            os.close(int(descriptor))


class ReadinessListener:
    """The supervisor's side: calls `on_ready` when the child reports."""

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self.is_ready = False
        self._on_ready = on_ready
        self._parent_end: int | None = None

    def open(self) -> int:
        """Opens a pipe for a new child. Returns the descriptor for the child, which the caller must close when the
        child has its own copy."""
        self.close()
        self.is_ready = False
        self._parent_end, child_end = os.pipe()
        asyncio.get_running_loop().add_reader(self._parent_end, self._on_readable)
        return child_end

    def close(self) -> None:
        if self._parent_end is not None:
            asyncio.get_running_loop().remove_reader(self._parent_end)
            os.close(self._parent_end)
            self._parent_end = None

    def poll(self) -> bool:
        """Whether the child has reported. Also reads a report that has not been handled yet."""
        if self._parent_end is not None:
            os.set_blocking(self._parent_end, False)
            with suppress(BlockingIOError):
                self._on_readable()
        return self.is_ready

    def _on_readable(self) -> None:
        assert self._parent_end is not None
        reported = bool(os.read(self._parent_end, 1))
        self.close()
        if reported:
            self.is_ready = True
            self._on_ready()
