"""The content of a long response, sent in the task of its request until other code stops it. A task of its own for the
content would take memory as long as the stream is idle."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class StoppableContent:
    """Sends the content of one response."""

    def __init__(self) -> None:
        self._sending: asyncio.Timeout | None = None
        self._is_stopped = False

    async def send(self, content: Coroutine[Any, Any, None]) -> None:
        """Awaits `content`. Returns when it has returned or was stopped; content that was stopped before is not
        started."""
        if self._is_stopped:
            content.close()
            return
        try:
            async with asyncio.timeout(None) as self._sending:
                await content
        except TimeoutError:
            if self._sending is None or not self._sending.expired():
                raise
        finally:
            self._sending = None  # `reschedule` raises after the end

    def stop(self) -> None:
        """Cancels `content` where it waits. Has no effect after its end."""
        self._is_stopped = True
        if self._sending is not None:
            self._sending.reschedule(0)
