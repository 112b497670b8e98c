"""A real receiver on loopback, and the application and a worker that may call it."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
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
    """Answers with the statuses it was given, the last one for ever, and keeps what it was told."""

    url: str = ""
    answers: list[str] = field(default_factory=lambda: ["200 OK"])
    heard: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    async def hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.headers.append(headers | {"": head[0]})
        self.raw.append(body)
        self.heard.append(json.loads(body))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        writer.write(f"HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that says 200."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.hear, "127.0.0.1", 0)
    receiver.url = f"http://localhost:{server.sockets[0].getsockname()[1]}/told"
    yield receiver
    server.close()


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A langgraph.json that lets webhooks go to this machine, with a header that has a secret."""
    folder = tmp_path_factory.mktemp("webhooks")
    shutil.copy(GRAPHS, folder / "hooked.py")
    names = ("steps", "ask", "hold", "fail", "fail_secretly")
    document = {
        "graphs": {name: f"./hooked.py:{name}" for name in names},
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
    """Loaded once."""
    return asyncio.run(Registry.load(project))


@pytest.fixture
def settings(valkey_url: str, keys: Keys, project: Path) -> Settings:
    """With a secret to sign with."""
    given = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": project, "webhook_secret": SECRET}
    return Settings.of(given)
