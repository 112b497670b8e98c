"""The event streams and waiting responses that this process is sending."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class ResponsesInProgress:
    """A web process that stops ends them first. Their clients reconnect, to another process, and miss nothing."""

    def __init__(self) -> None:
        self._ends: dict[object, Callable[[], None]] = {}
        self.closed = False

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[object]:
        return iter(tuple(self._ends))

    def close(self) -> None:
        """Ends every open response, and from now on every new one."""
        self.closed = True
        for end in tuple(self._ends.values()):
            end()

    def add(self, response: object, end: Callable[[], None]) -> None:
        """`end` is called when this process stops."""
        self._ends[response] = end
        if self.closed:
            end()

    def remove(self, response: object) -> None:
        """The response has ended."""
        self._ends.pop(response, None)
