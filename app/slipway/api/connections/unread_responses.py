"""Detects a client that does not read what the server has sent."""

from __future__ import annotations

import asyncio
from typing import Final

_LEAST_BYTES: Final = 4096
"""What a client must read within its time, if more than that is waiting. One that reads a byte now and then would
otherwise hold its response in memory for hours."""


class UnreadResponse:
    """Watches the bytes that wait in the memory of this process until the client reads. `is_stalled` is called at an
    interval."""

    __slots__ = ("_drained", "_last_size", "_since", "_timeout_s", "_transport")

    def __init__(self, transport: asyncio.Transport, timeout_s: float) -> None:
        self._transport, self._timeout_s = transport, timeout_s
        self._since = 0.0
        self._last_size = self._drained = 0

    def is_stalled(self, now: float) -> bool:
        """Whether the client has read next to nothing for `timeout_s` although bytes wait for it. `now` is the time of
        the event loop."""
        size = self._transport.get_write_buffer_size()
        self._drained += max(0, self._last_size - size)
        is_first, self._last_size = self._last_size == 0, size
        if size == 0 or is_first or self._drained >= _LEAST_BYTES:
            self._since, self._drained = now, 0
            return False
        return now - self._since > self._timeout_s
