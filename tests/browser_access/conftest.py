"""A server that needs API keys, and a browser without JavaScript: a client that keeps cookies and follows nothing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from tests.api_keys.conftest import PROJECT, KeyHolder, graphs, new_holder
from tests.http.conftest import Client, Served, client, served, worker
from tests.project_fixtures import settings_of

__all__ = ["Client", "Visitor", "client", "graphs", "served", "worker"]

settings = settings_of(PROJECT, sse_ping_s=0.2, require_keys=True, trusted_proxies="127.0.0.1")
HTML = {"accept": "text/html,application/xhtml+xml"}
OPENED = re.compile(r'data-csrf="([0-9a-f]{64})"')


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser."""

    http: httpx.AsyncClient

    async def sign_in(self, key: str, **fields: str) -> httpx.Response:
        return await self.http.post("/ui/sign-in", data={"key": key, **fields}, headers=HTML)

    async def csrf(self) -> str:
        """The CSRF token that the pages of this session have."""
        page = await self.http.get("/", headers=HTML)
        assert page.status_code == 200, page.headers
        match = OPENED.search(page.text)
        assert match is not None
        return match[1]


@pytest.fixture
async def holder(served: Served) -> KeyHolder:
    return await new_holder(served, "runs:write", "reviews:decide", owner="ann")


@pytest.fixture
async def visitor(served: Served) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(base_url=served.url, timeout=20) as http:
        yield Visitor(http)


@pytest.fixture
async def signed_in(visitor: Visitor, holder: KeyHolder) -> Visitor:
    assert (await visitor.sign_in(holder.key.text)).status_code == 303
    return visitor
