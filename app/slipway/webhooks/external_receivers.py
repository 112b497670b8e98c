"""The receivers of webhooks that have a host, which workers call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import httpx

from slipway.webhooks.checked_address_transport import CheckedAddressTransport
from slipway.webhooks.delivery_tries import CALL_TIMEOUT_S
from slipway.webhooks.record import Delivery
from slipway.webhooks.urls import UrlPolicy

_CONNECT_S: Final = 5.0


class ExternalReceivers:
    """Reaches all of them with one HTTP client."""

    def __init__(self, urls: UrlPolicy) -> None:
        self._urls = urls
        timeout = httpx.Timeout(CALL_TIMEOUT_S, connect=_CONNECT_S)
        self._client = httpx.AsyncClient(transport=CheckedAddressTransport(urls), timeout=timeout, trust_env=False)

    @asynccontextmanager
    async def client_for(self, delivery: Delivery) -> AsyncIterator[httpx.AsyncClient]:
        yield self._client

    def url_of(self, delivery: Delivery) -> str:
        self._urls.check(delivery.url)
        return delivery.url

    async def close(self) -> None:
        await self._client.aclose()
