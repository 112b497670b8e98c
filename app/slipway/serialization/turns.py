"""Divides long work into turns, between which the event loop continues with the work of other runs and requests.

A run needs dozens of event loop iterations from its claim to its end. If every iteration were followed by a turn of
long work, a run that takes 5 ms would take 200 ms. So the event loop continues for several iterations between two
turns. An iteration in which nothing is to do takes about 10 µs.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

LONGEST_TURN_S: Final = 0.003
"""Seconds after which the event loop continues, when the piece of work that exceeds them is complete."""
ITERATIONS_BETWEEN_TURNS: Final = 16
"""Event loop iterations between two turns. They are counted and not timed, because a slow machine needs more time, not
more iterations."""


class Turn:
    """The turn that began last."""

    def __init__(self) -> None:
        self._began_at = time.perf_counter()

    @property
    def is_over(self) -> bool:
        """Whether `pause` should be called."""
        return time.perf_counter() - self._began_at > LONGEST_TURN_S

    async def pause(self) -> None:
        """Lets the event loop continue, and begins the next turn."""
        await let_others_continue()
        self._began_at = time.perf_counter()


async def let_others_continue() -> None:
    """The pause between two turns."""
    for _ in range(ITERATIONS_BETWEEN_TURNS):
        await asyncio.sleep(0)
