"""Calls the webhooks of runs that have ended, except internal ones, which web processes call
(`slipway.api.host_app.internal_webhooks`). Addresses that `webhooks.url` of langgraph.json does not allow are never
called.

Interval: `slipway.webhooks.deliveries.INTERVAL_S`; at once when a run with a webhook has ended in this process.
Who: every worker; a script assigns each delivery to one process at a time, with a lease.
Logs: `webhook.delivered`, `webhook.failed`, `webhook.rejected` for each try (`slipway.webhooks.deliveries`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cached_property
from typing import Final

import httpx

from slipway.runs.delivery_queues import EXTERNAL, INTERNAL
from slipway.services import Services
from slipway.webhooks.deliveries import CALL_TIMEOUT_S, WebhookDeliveries
from slipway.webhooks.record import Delivery
from slipway.webhooks.urls import UrlPolicy

_CONNECT_S: Final = 5.0
_NO_REUSE: Final = httpx.Limits(max_keepalive_connections=0)
"""Connections are not reused. They would be selected by address, but the certificate was verified for one host name,
and another host name may have the same address."""


class Deliveries(WebhookDeliveries):
    """One round starts the deliveries that are due.

    If internal webhooks are not allowed at all, no web process claims their deliveries. Then they are claimed here, and
    fail with the reason.
    """

    def __init__(self, services: Services) -> None:
        # internal webhooks come first: each of them fails at once
        queues = (EXTERNAL,) if services.webhook_urls.allows_internal else (INTERNAL, EXTERNAL)
        super().__init__(services, queues, services.auth)
        timeout = httpx.Timeout(CALL_TIMEOUT_S, connect=_CONNECT_S)
        self._client = httpx.AsyncClient(
            transport=CheckedAddressTransport(self._urls), timeout=timeout, trust_env=False
        )

    async def run(self) -> None:
        async with self._client:
            await super().run()

    @asynccontextmanager
    async def _client_for(self, delivery: Delivery) -> AsyncIterator[httpx.AsyncClient]:
        yield self._client

    def _url_of(self, delivery: Delivery) -> str:
        self._urls.check(delivery.url)
        return delivery.url


class CheckedAddressTransport(httpx.AsyncBaseTransport):
    """Resolves a host name, checks that all of its addresses are allowed, and connects to an address that was checked.
    The certificate must be valid for the host name."""

    def __init__(self, urls: UrlPolicy) -> None:
        self._urls = urls

    @cached_property
    def _inner(self) -> httpx.AsyncHTTPTransport:
        """Created when it is first needed, because loading the certificates of all authorities takes megabytes."""
        return httpx.AsyncHTTPTransport(limits=_NO_REUSE)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        address = await self._urls.resolve(str(request.url))
        extensions = dict(request.extensions) | {"sni_hostname": request.url.host}
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,  # `Host` still has the host name
            stream=request.stream,
            extensions=extensions,
        )
        return await self._inner.handle_async_request(pinned)

    async def aclose(self) -> None:
        if "_inner" in vars(self):
            await self._inner.aclose()
