"""Detects that the client of a long response disconnects."""

from __future__ import annotations

from starlette.types import Receive

from slipway.api.streams.response_control import ResponseControl


async def end_when_disconnected(receive: Receive, control: ResponseControl) -> None:
    """Ends the response when its client disconnects. The body of the request must have been received."""
    while (await receive())["type"] != "http.disconnect":
        pass
    control.client_disconnected()
