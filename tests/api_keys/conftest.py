"""A server that needs API keys, and keys of the owners `n` and `bob`, of an administrator and of an operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from langgraph_sdk import get_client

from slipway.api_keys.store import ApiKeyStore, NewKey
from tests.http.conftest import Client, Served, client, served, worker
from tests.project_fixtures import graphs_of, settings_of

__all__ = ["Client", "client", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT, sse_ping_s=0.2, require_keys=True)


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who sends requests with one key."""

    key: NewKey
    url: str

    @property
    def headers(self) -> Mapping[str, str]:
        return {"x-api-key": self.key.text}

    def sdk(self) -> Client:
        """An SDK client, which sends the key."""
        return get_client(url=self.url, api_key=self.key.text)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=20)


async def new_holder(served: Served, *scopes: str, owner: str | None = None, expires: str | None = None) -> KeyHolder:
    """A new key of the server."""
    store: ApiKeyStore = served.services.api_keys
    key = await store.create(scopes=scopes, owner=owner, expires=expires, name="a key of a test", by="the test")
    return KeyHolder(key, served.url)


@pytest.fixture
async def ann_key(served: Served) -> KeyHolder:
    """Ann's owner is called `n`, as the namespace of the samples of `tests/auth/samples.py`."""
    return await new_holder(served, "runs:write", "reviews:decide", owner="n")


@pytest.fixture
async def bob_key(served: Served) -> KeyHolder:
    return await new_holder(served, "runs:write", "reviews:decide", owner="bob")


@pytest.fixture
async def admin_key(served: Served) -> KeyHolder:
    return await new_holder(served, "administer")


@pytest.fixture
async def ann(ann_key: KeyHolder) -> AsyncIterator[Client]:
    async with ann_key.sdk() as sdk:
        yield sdk


@pytest.fixture
async def bob(bob_key: KeyHolder) -> AsyncIterator[Client]:
    async with bob_key.sdk() as sdk:
        yield sdk
