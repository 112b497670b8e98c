"""A child tells its supervisor once that it serves: one byte through a pipe whose number is in its environment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Final

VARIABLE: Final = "SLIPWAY_READY_FD"


def report_ready() -> None:
    """Tell the supervisor, if there is one, that this process serves now."""
    descriptor = os.environ.pop(VARIABLE, "")
    if descriptor.isdigit():
        with suppress(OSError):  # nobody listens any more
            os.write(int(descriptor), b"1")
            os.close(int(descriptor))


class ReadinessListener:
    """The supervisor's side. `said` is whether the child has told; `on_ready` is called when it does."""

    def __init__(self, on_ready: Callable[[], None]) -> None:
        self.said = False
        self._on_ready = on_ready
        self._ours: int | None = None

    def begin(self) -> int:
        """The descriptor to hand to a child that is about to start; to be closed once it is handed over."""
        self.end()
        self.said = False
        self._ours, its = os.pipe()
        asyncio.get_running_loop().add_reader(self._ours, self._heard)
        return its

    def end(self) -> None:
        """Stop listening."""
        if self._ours is not None:
            asyncio.get_running_loop().remove_reader(self._ours)
            os.close(self._ours)
            self._ours = None

    def look(self) -> bool:
        """Whether it has told, also when that has just arrived."""
        if self._ours is not None:
            os.set_blocking(self._ours, False)
            with suppress(BlockingIOError):
                self._heard()
        return self.said

    def _heard(self) -> None:
        assert self._ours is not None
        told = bool(os.read(self._ours, 1))
        self.end()
        if told:
            self.said = True
            self._on_ready()
