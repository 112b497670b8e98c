"""`GET /ops/tools` and `slipway tools`: each tool with its declaration, its rules, and whether calls are made now."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from slipway.circuit_breakers.breakers import BREAKERS
from slipway.commands.tools import tools
from slipway.settings import Settings
from tests.mcp_servers.conftest import TOKEN


async def test_operators_see_each_tool(
    client: httpx.AsyncClient, settings: Settings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.put("/ops/tools/crm_archive_customer", json={"reason": "wrong customers"})
    for _ in range(settings.breaker_failures):
        with pytest.raises(ConnectionError):
            async with BREAKERS.call("tool", "crm_find_customer"):
                raise ConnectionError
    listed = (await client.get("/ops/tools")).json()["tools"]
    assert [each["name"] for each in listed] == sorted(each["name"] for each in listed)
    assert TOKEN not in json.dumps(listed)
    by_name = {each["name"]: each for each in listed}
    archive, find = by_name["crm_archive_customer"], by_name["crm_find_customer"]
    members = {name: archive[name] for name in ("version", "access", "approval", "secrets", "redact", "timeout_s")}
    assert members == {
        "version": "1",
        "access": "write",
        "approval": "always",
        "secrets": ["CRM_HTTP_TOKEN"],
        "redact": ["number"],
        "timeout_s": 60,
    }
    assert [(each["effect"], each["graph"], each["nodes"]) for each in archive["grants"]] == [
        ("permit", "*", None),
        ("forbid", "agent", ["ask"]),
    ]
    assert len(find["grants"]) == 1
    assert (archive["switch"]["reason"], find["switch"]) == ("wrong customers", None)
    assert (archive["breaker"], find["breaker"]["state"]) == (None, "open")
    assert archive["mcp"] | {"pinned": ""} == {"server": "crm", "pinned": "", "list_has_changed": False}
    assert archive["mcp"]["pinned"] == find["mcp"]["pinned"]

    monkeypatch.setattr("slipway.commands.tools.load_settings_and_logs", lambda command, config: settings)
    arguments = ["--config", str(folder / "langgraph.json")]
    table = await asyncio.to_thread(CliRunner().invoke, tools, arguments)
    lines = {line.split()[0]: line for line in table.output.splitlines()}
    assert lines["crm_archive_customer"].endswith("off by anonymous: wrong customers")
    assert "permit *; forbid agent:ask" in lines["crm_archive_customer"]
    assert lines["crm_find_customer"].endswith("breaker open: ConnectionError")
    assert lines["files_find_customer"].endswith("on")
    as_json = await asyncio.to_thread(CliRunner().invoke, tools, [*arguments, "--json"])
    assert [json.loads(line)["name"] for line in as_json.output.splitlines()] == list(by_name)
