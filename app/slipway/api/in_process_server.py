"""The API in a worker, without a socket, for the in-process clients of the graphs that the worker executes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.api.application import create_app
from slipway.api.host_app.extensions import Extensions
from slipway.services import Services


@asynccontextmanager
async def serve_in_process(services: Services) -> AsyncIterator[None]:
    """Inside the block, graphs of this process can use `langgraph_sdk.get_client()`. The API uses `services`,
    so no further connection is opened. The host app is not available here."""

    @asynccontextmanager
    async def existing_services() -> AsyncIterator[Services]:
        yield services

    app = create_app(existing_services, services.settings, Extensions())
    async with app.router.lifespan_context(app):
        yield
