"""What belongs to the time of a long response, from its start to its end. Event streams and waiting responses share
it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from slipway.api.responses_in_progress import ResponsesInProgress
from slipway.api.streams.response_control import ResponseControl, Watch

OnDisconnect = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLifetime:
    """What happens beside sending the content."""

    on_disconnect: OnDisconnect | None = None
    """Called when the client disconnects before the end."""
    on_close: ExitStack | None = None
    """Closed when the response has ended, for whatever reason."""
    watch: Watch | None = None
    """Entered for the time of the response."""

    @contextmanager
    def in_progress(
        self, control: ResponseControl, responses: ResponsesInProgress, at_shutdown: Callable[[], None]
    ) -> Iterator[None]:
        """Inside the block the response is watched, and it is one of `responses`: this process calls `at_shutdown`
        when it stops."""
        responses.add(control, at_shutdown)
        try:
            with self.watch(control) if self.watch is not None else nullcontext():
                yield
        finally:
            responses.remove(control)
            if self.on_close is not None:
                self.on_close.close()

    async def report_disconnect(self) -> None:
        """Called after the response, if the client disconnected before the end."""
        if self.on_disconnect is not None:
            await self.on_disconnect()


UNWATCHED: Final = ResponseLifetime()
