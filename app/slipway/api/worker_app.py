"""The application without a socket: in a worker, for the graphs that it executes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.api.host_app.extensions import Extensions
from slipway.api.server import create_app
from slipway.services import Services


@asynccontextmanager
async def serve_in_process(services: Services) -> AsyncIterator[None]:
    """Graphs of this process may use `langgraph_sdk.get_client()`. It works on the process's own stores and costs no
    connection. The project's own app is not served here."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield services

    app = create_app(opened, services.settings, Extensions())
    async with app.router.lifespan_context(app):
        yield
