"""`langgraph_sdk.get_client()` without a URL, in the code of graphs: their own server, without a network.

A client that is made when a graph is imported is connected when the application starts, a later one at once. Its
requests are trusted and made for nobody: the auth file is not asked. What is streamed comes piece by piece, as it does
over a network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from httpx import ASGITransport
from langgraph_sdk._async import client as sdk
from starlette.types import ASGIApp

from slipway.api.in_process_client.transport import InProcessTransport

_WAITING: Final = "_registered_transports"


class _Connected(list[ASGITransport]):
    """Where the SDK puts the transports of clients that wait for a server: there is one."""

    def __init__(self, app: Any) -> None:
        super().__init__()
        self._app = app

    def append(self, transport: ASGITransport) -> None:
        transport.app = self._app
        transport.__class__ = InProcessTransport  # the SDK makes it, and nowhere asks of which kind


@contextmanager
def connect_clients(app: ASGIApp) -> Iterator[None]:
    """Graphs reach `app` until the block is left."""
    waiting, now = getattr(sdk, _WAITING), _Connected(app)
    for transport in waiting:
        now.append(transport)
    setattr(sdk, _WAITING, now)
    try:
        yield
    finally:
        setattr(sdk, _WAITING, waiting)
