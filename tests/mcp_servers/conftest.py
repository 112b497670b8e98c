"""A project with two MCP servers, one over stdio and one over streamable HTTP, and a web process and a worker."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from slipway.graphs.mcp_section import McpSection
from slipway.graphs.registry import Registry
from slipway.mcp_servers.connection import McpConnection
from slipway.mcp_servers.pinned_list import PinnedList
from slipway.redis.keys import Keys
from slipway.settings import Settings
from tests.http.conftest import client, served, worker
from tests.mcp_servers.project.crm_server import CALLS, build
from tests.waiting import wait_until

__all__ = ["client", "served", "worker"]

SOURCES = Path(__file__).parent / "project"
TOKEN = "token-of-the-crm"


@dataclass(frozen=True)
class HttpServer:
    """The server over HTTP, in a thread of the test process."""

    url: str
    mcp: MCPServer


class _NeedsToken:
    """Rejects requests without the token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = scope["type"] != "http" or Request(scope).headers.get("authorization") == f"Bearer {TOKEN}"
        answer: ASGIApp | Response = self._app if allowed else PlainTextResponse("no token", 401)
        await answer(scope, receive, send)


@pytest.fixture(scope="session")
def http_server() -> Iterator[HttpServer]:
    mcp = build("crm over HTTP")
    listener = socket.create_server(("127.0.0.1", 0))
    app = _NeedsToken(mcp.streamable_http_app(stateless_http=True))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    asyncio.run(wait_until(lambda: server.started or not thread.is_alive()))
    try:
        yield HttpServer(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", mcp)
    finally:
        server.should_exit = True
        thread.join()


def sections(http_server: HttpServer) -> dict[str, Any]:
    """`slipway.mcp`, without pins."""
    return {
        "crm": {
            "url": http_server.url,
            "headers": {"Authorization": "Bearer ${CRM_HTTP_TOKEN}"},
            "tools": ["archive_customer", "delete_customer", "find_customer"],
        },
        "files": {
            "command": [sys.executable, "crm_server.py"],
            "env": {"CRM_TOKEN": "${CRM_STDIO_TOKEN}"},
            "timeout_s": 10,
        },
    }


async def list_of(name: str, section: dict[str, Any], folder: Path) -> PinnedList:
    """What a server offers."""
    connection = McpConnection(name, McpSection(**section), folder, {"CRM_HTTP_TOKEN": TOKEN})
    await connection.open()
    try:
        return await connection.list_tools()
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory, http_server: HttpServer) -> Path:
    """A copy of the project with its langgraph.json and its pinned lists."""
    folder = tmp_path_factory.mktemp("mcp-project")
    for file in ("graphs.py", "crm_server.py"):
        shutil.copy(SOURCES / file, folder / file)
    servers = sections(http_server)
    found = asyncio.run(list_of("crm", servers["crm"], folder))
    for name, section in servers.items():  # both are the same program
        found.write(folder, name)
        section["pinned"] = found.hash
    document = {
        "graphs": {"caller": "./graphs.py:caller", "agent": "./graphs.py:agent"},
        "slipway": {
            "mcp": servers,
            "tools": {
                "crm_archive_customer": {"approval": "always", "redact": ["number"]},
                "files_archive_customer": {"approval": "always"},
            },
            "grants": [
                {"effect": "permit", "graph": "*", "tools": ["*"]},
                {"effect": "forbid", "graph": "agent", "nodes": ["ask"], "tools": ["crm_archive_customer"]},
            ],
        },
    }
    (folder / "langgraph.json").write_text(json.dumps(document, indent=2))
    return folder


@pytest.fixture(scope="session")
def graphs(folder: Path) -> Registry:
    return asyncio.run(Registry.load(folder / "langgraph.json"))


@pytest.fixture
def settings(valkey_url: str, keys: Keys, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("CRM_HTTP_TOKEN", "CRM_STDIO_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    CALLS.clear()
    values = {"redis_url": valkey_url, "key_prefix": keys.prefix, "config": folder / "langgraph.json"}
    return Settings.from_values(values)
