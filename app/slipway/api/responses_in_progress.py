"""The event streams and waiting responses that this process is sending."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class ResponsesInProgress:
    """A web process that stops ends these responses first. Their clients reconnect to another process and miss no
    event."""

    def __init__(self) -> None:
        self._ends: dict[object, Callable[[], None]] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[object]:
        return iter(tuple(self._ends))

    def close(self) -> None:
        """Ends all responses in progress, and from now on each response as soon as it is added."""
        self.closed = True
        for end in tuple(self._ends.values()):
            end()

    def add(self, response: object, end: Callable[[], None]) -> None:
        """Calls `end` when this process stops, or at once if it is stopping."""
        self._ends[response] = end
        if self.closed:
            end()

    def remove(self, response: object) -> None:
        """Called when the response has ended."""
        self._ends.pop(response, None)
