"""Each test has its own Valkey, which it may stop or misconfigure, and the application in process or in real
processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.crash.cluster import CONFIG, Cluster, running
from tests.http.conftest import Served, serving
from tests.project_fixtures import graphs_of

graphs = graphs_of(CONFIG)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cluster]:
    """A Valkey that persists every write, without processes of Slipway. Nodes run in this process and record their
    effects in its file."""
    async with running() as cluster:
        monkeypatch.setenv("EFFECTS", str(cluster.effects.path))
        yield cluster


def settings_of(server: Cluster, **values: Any) -> Settings:
    """Settings of a process that uses this Valkey."""
    defaults = {"redis_url": server.redis_url, "key_prefix": server.keys.prefix, "config": CONFIG, "sse_ping_s": 0.5}
    return Settings.from_values(defaults | values)


@pytest.fixture
async def served(server: Cluster, graphs: Registry) -> AsyncIterator[Served]:
    """A web process of the project, in this process."""
    async with serving(settings_of(server, redis_patience_web_s=1), graphs) as running:
        yield running


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served.url, timeout=10) as client:
        yield client
