"""A receiver of webhooks on loopback, and a deployment that is allowed to call it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.http.conftest import client, sdk, served, worker

__all__ = ["client", "sdk", "served", "worker"]

GRAPHS = Path(__file__).parents[1] / "http" / "project" / "graphs.py"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass(slots=True)
class Receiver:
    """An HTTP server that stores the requests it receives. Its responses have the `statuses` in order, and then always
    the last status."""

    url: str = ""
    statuses: list[str] = field(default_factory=lambda: ["200 OK"])
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw_bodies: list[bytes] = field(default_factory=list)
    before_answer: Callable[[], Awaitable[None]] | None = None
    """Called after a request has arrived."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request for each connection. The request line is stored as the header with the empty name."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.headers.append(headers | {"": head[0]})
        self.raw_bodies.append(body)
        self.bodies.append(json.loads(body))
        if self.before_answer is not None:
            await self.before_answer()
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver whose status is 200."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.url = f"http://localhost:{server.sockets[0].getsockname()[1]}/hook"
    yield receiver
    server.close()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A langgraph.json that allows webhooks on loopback, with a header from an environment variable."""
    folder = tmp_path_factory.mktemp("webhooks")
    shutil.copy(GRAPHS, folder / "webhook_graphs.py")
    names = ("steps", "ask", "hold", "fail", "fail_secretly")
    document = {
        "graphs": {name: f"./webhook_graphs.py:{name}" for name in names},
        "env": {"LG_WEBHOOK_TOKEN": "hush"},
        "webhooks": {
            "url": {"disable_loopback": False, "allowed_domains": ["localhost", "127.0.0.1", "*.test"]},
            "headers": {"authorization": "Bearer ${{ env.LG_WEBHOOK_TOKEN }}"},
        },
    }
    (folder / "langgraph.json").write_text(json.dumps(document))
    return folder / "langgraph.json"


@pytest.fixture(scope="session")
def graphs(project: Path) -> Registry:
    return asyncio.run(Registry.load(project))


@pytest.fixture
def settings(valkey_url: str, keys: Keys, project: Path) -> Settings:
    """Includes a signing secret."""
    values = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": project, "webhook_secret": SECRET}
    return Settings.from_values(values)
