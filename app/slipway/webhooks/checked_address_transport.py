"""The HTTP transport of webhooks that have a host: it connects only to addresses that `webhooks.url` of langgraph.json
allows."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import httpx

from slipway.webhooks.urls import UrlPolicy

_NO_REUSE: Final = httpx.Limits(max_keepalive_connections=0)
"""Connections are not reused. They would be selected by address, but the certificate was verified for one host name,
and another host name may have the same address."""


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
