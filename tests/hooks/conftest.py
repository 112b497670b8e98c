"""A web process whose project has hooks of every scheme."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.settings import Settings
from tests.hooks.senders import VARIABLES, Headers, encoded, github
from tests.http.conftest import Served, client, sdk, served, worker
from tests.project_fixtures import graphs_of

__all__ = ["Served", "client", "sdk", "served", "worker"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in VARIABLES.items():
        monkeypatch.setenv(name, secret)


@pytest.fixture
def settings(valkey_url: str, keys: Keys, secrets: None) -> Settings:
    return Settings.from_values({"redis_url": valkey_url, "key_prefix": keys.prefix, "config": PROJECT})


async def stored_bytes(pipeline: Pipeline, keys: Keys) -> bytes:
    """All that is stored about hooks. DUMP would compress it."""
    reads = {b"hash": ("HGETALL",), b"zset": ("ZRANGE", 0, -1), b"string": ("GET",)}
    stored = []
    for key in await pipeline.send("KEYS", f"{keys.prefix}:*hook*"):
        command, *arguments = reads[await pipeline.send("TYPE", key)]
        value = await pipeline.send(command, key, *arguments)
        stored += [key, *(value if isinstance(value, list) else [value])]
    return b"\n".join(stored)


async def deliver(
    client: httpx.AsyncClient, hook: str, value: Any, headers: Headers | None = None, **options: Any
) -> httpx.Response:
    """Sends a delivery, by default as GitHub does."""
    body = value if isinstance(value, bytes) else encoded(value)
    return await client.post(f"/hooks/{hook}", content=body, headers=headers or github(body, **options))


def project_with(folder: Path, hooks: dict[str, Any], **members: Any) -> Path:
    """Writes a project with these hooks. Returns the path of its langgraph.json."""
    (folder / "graphs.py").write_text((PROJECT.parent / "graphs.py").read_text())
    document = {"graphs": {"notes": "./graphs.py:notes", "asks": "./graphs.py:asks"}, **members}
    document["slipway"] = {**document.get("slipway", {}), "hooks": hooks}
    (folder / "langgraph.json").write_text(json.dumps(document, indent=1))
    return folder / "langgraph.json"
