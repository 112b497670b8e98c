"""`langgraph_sdk.get_client()` without a URL: a client of the deployment in which the graph executes.

Its requests need no network and are trusted: the auth file is not called. A client that the project creates at import
is connected when the application starts; a later one is connected at once.

This module is the only one that depends on private parts of the SDK. For a client without a URL, the SDK creates an
`httpx.ASGITransport` without an application and appends it to the list `_registered_transports`, which its own server
reads. There is no public way to give the client another transport, and `httpx.ASGITransport` returns a response only
when it is complete, so an event stream would never start. Therefore `_Registry` replaces the list and converts each
transport: it sets its application and changes its class to `InProcessTransport`, a subclass without state of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from httpx import ASGITransport
from langgraph_sdk._async import client as sdk
from starlette.types import ASGIApp

from slipway.api.in_process_client.transport import InProcessTransport

_REGISTRY: Final = "_registered_transports"


class _Registry(list[ASGITransport]):
    """Connects each transport that the SDK appends."""

    def __init__(self, app: Any) -> None:  # httpx and Starlette declare an ASGI application differently
        super().__init__()
        self._app = app

    def append(self, transport: ASGITransport) -> None:
        transport.app = self._app
        transport.__class__ = InProcessTransport


@contextmanager
def connect_clients(app: ASGIApp) -> Iterator[None]:
    """Inside the block, clients without a URL send their requests to `app`."""
    unconnected, registry = getattr(sdk, _REGISTRY), _Registry(app)
    for transport in unconnected:
        registry.append(transport)
    setattr(sdk, _REGISTRY, registry)
    try:
        yield
    finally:
        setattr(sdk, _REGISTRY, unconnected)
