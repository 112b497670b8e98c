"""Work that a worker process does in a task of its own, beside all other work of the process."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any


async def _nothing_to_drain(within_s: float) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Background:
    """One such work. A process starts all of it together, drains all of it at the same time, and then cancels it."""

    name: str
    run: Callable[[], Coroutine[Any, Any, None]]
    """Works until it is cancelled. The process drains and ends when it returns or raises an exception before."""
    drain: Callable[[float], Coroutine[Any, Any, None]] = _nothing_to_drain
    """Begins nothing more, and returns when nothing is in progress. What is still in progress after this number of
    seconds is stopped, and has `RELEASE_WITHIN_S` (`slipway.stop_times`) to be handed back."""
