"""Calls the webhooks that have a host, from workers: never an address that `webhooks.url` of langgraph.json forbids."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Final

import httpx

from slipway.runs.delivery_queues import EXTERNAL, INTERNAL
from slipway.services import Services
from slipway.webhooks.deliveries import WHOLE_S, WebhookDeliveries
from slipway.webhooks.record import Delivery
from slipway.webhooks.urls import UrlPolicy

_CONNECT_S: Final = 5.0
_NO_REUSE: Final = httpx.Limits(max_keepalive_connections=0)
"""A connection belongs to an address here, but its certificate to a name: another name must not get it."""


class Deliveries(WebhookDeliveries):
    """The webhooks that this worker calls. Paths of the server's own are among them only where none is allowed any
    more: then no web process takes them, and here they fail with the reason."""

    def __init__(self, services: Services) -> None:
        # internal webhooks come first: each of them fails at once
        queues = (EXTERNAL,) if services.webhook_urls.allows_own else (INTERNAL, EXTERNAL)
        super().__init__(services, queues, services.auth)
        timeout = httpx.Timeout(WHOLE_S, connect=_CONNECT_S)
        self._client = httpx.AsyncClient(
            transport=CheckedAddressTransport(self._urls), timeout=timeout, trust_env=False
        )

    async def run(self) -> None:
        """Until cancelled."""
        async with self._client:
            await super().run()

    @asynccontextmanager
    async def _reaching(self, delivery: Delivery) -> AsyncIterator[httpx.AsyncClient]:
        yield self._client

    def _target(self, delivery: Delivery) -> str:
        self._urls.check(delivery.url)
        return delivery.url


class CheckedAddressTransport(httpx.AsyncBaseTransport):
    """Connects to addresses that were looked up and checked here; the name is what the certificate must be for."""

    def __init__(self, urls: UrlPolicy) -> None:
        self._urls = urls

    @cached_property
    def _inner(self) -> httpx.AsyncHTTPTransport:
        """Made for the first call: the certificates of all authorities take megabytes."""
        return httpx.AsyncHTTPTransport(limits=_NO_REUSE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Look up, check, connect."""
        address = await self._urls.resolve(str(request.url))
        extensions = dict(request.extensions) | {"sni_hostname": request.url.host}
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # with the name as `Host`
            stream=request.stream,
            extensions=extensions,
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        if "_inner" in vars(self):
            await self._inner.aclose()
