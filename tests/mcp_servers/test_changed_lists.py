"""An MCP server changes while people decide about a call of one of its tools: nothing is executed before an operator
has pinned the new list, and what people approved is what is executed."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.server.mcpserver import MCPServer

from slipway.graphs.registry import Registry
from slipway.settings import Settings
from tests.http.conftest import Served
from tests.mcp_servers.conftest import HttpServer, list_of
from tests.mcp_servers.project import crm_server
from tests.mcp_servers.project.crm_server import CALLS
from tests.mcp_servers.test_calls import CRM, result_of, start, until, values_of
from tests.reviews.conftest import Desk
from tests.waiting import wait_until
from tests.worker import running_worker

pytestmark = pytest.mark.processes


@contextmanager
def added(mcp: MCPServer, tool: Callable[..., Any]) -> Iterator[None]:
    """The server has one more tool."""
    mcp.tool()(tool)
    try:
        yield
    finally:
        mcp.remove_tool(tool.__name__)


@contextmanager
def removed(mcp: MCPServer) -> Iterator[None]:
    """The server has no tool that archives customers."""
    mcp.remove_tool("archive_customer")
    try:
        yield
    finally:
        mcp.tool()(crm_server.archive_customer)


@contextmanager
def replaced(mcp: MCPServer, tool: Callable[..., Any]) -> Iterator[None]:
    """The server archives customers by this function."""
    with removed(mcp), added(mcp, tool):
        yield


class Crm:
    """A run that waits for an approval, and what operators do."""

    def __init__(self, desk: Desk, folder: Path, settings: Settings, http_server: HttpServer) -> None:
        self.desk, self.client = desk, desk.client
        self._folder, self._settings, self._http_server = folder, settings, http_server

    async def asks(self, server: str = "crm") -> str:
        """Starts a run that asks people about a call. Returns its path."""
        run = await start(self.client, "caller", tool=f"{server}_archive_customer", args={"number": 7})
        await until(self.client, run, "waiting_for_approval")
        return run

    async def approve(self, run: str) -> str:
        """Approves its call. Returns the path of the run that continues."""
        thread = run.split("/")[2]
        (review,) = await self.desk.reviews(thread)
        await self.desk.decide(review, {"kind": "approve"})
        await wait_until(lambda: self._has_newer(run))
        newest = (await self.client.get(f"/threads/{thread}/runs")).json()[0]
        return f"/threads/{thread}/runs/{newest['run_id']}"

    async def _has_newer(self, run: str) -> bool:
        _, _, thread, _, run_id = run.split("/")
        return bool((await self.client.get(f"/threads/{thread}/runs")).json()[0]["run_id"] != run_id)

    async def has_paused(self, run: str, times: int) -> bool:
        audit = (await self.client.get(f"/ops{run[run.index('/runs/') :]}/audit")).json()["entries"]
        return [entry["action"] for entry in audit].count("run.paused") == times

    async def enable(self) -> None:
        for name in CRM:
            assert (await self.client.delete(f"/ops/tools/{name}")).status_code == 200

    @asynccontextmanager
    async def pinned(self, folder: Path) -> AsyncIterator[None]:
        """A worker of a release in which the operator has pinned the list that the server has now."""
        shutil.copytree(self._folder, folder)
        document = json.loads((folder / "langgraph.json").read_text())
        section = document["slipway"]["mcp"]["crm"]
        found = await list_of("crm", section, folder)
        found.write(folder, "crm")
        section["pinned"] = found.hash
        (folder / "langgraph.json").write_text(json.dumps(document, indent=2))
        settings = self._settings.model_copy(update={"config": folder / "langgraph.json"})
        async with running_worker(settings, await Registry.load(settings.config)):
            yield


@pytest.fixture
async def crm(
    served: Served, client: httpx.AsyncClient, folder: Path, settings: Settings, http_server: HttpServer
) -> Crm:
    return Crm(Desk(client, served.services, served.services), folder, settings, http_server)


async def test_an_approved_call_waits_until_the_new_list_is_pinned(
    crm: Crm, http_server: HttpServer, settings: Settings, graphs: Registry, tmp_path: Path
) -> None:
    async def empty_database() -> str:
        """Another tool."""
        return ""

    with added(http_server.mcp, empty_database):
        async with running_worker(settings, graphs):
            asks = await crm.asks()
            run = await crm.approve(asks)
            await until(crm.client, run, "paused")
            await crm.enable()  # without a new pin
            await wait_until(lambda: crm.has_paused(run, times=2))
            assert CALLS == []
        async with crm.pinned(tmp_path / "next"):
            await crm.enable()
            assert (await values_of(crm.client, run))["results"] == [{"result": "archived 7"}]
    assert [call["number"] for call in CALLS] == [7]


async def test_a_call_of_a_tool_that_has_changed_is_asked_about_again(
    crm: Crm, http_server: HttpServer, settings: Settings, graphs: Registry, tmp_path: Path
) -> None:
    async def archive_customer(number: int) -> str:
        """Deletes a customer for ever."""
        CALLS.append({"number": number, "for ever": True})
        return f"deleted {number}"

    async with running_worker(settings, graphs):
        asks = await crm.asks()
        await result_of(crm.client, "crm_find_customer", number=1)  # the list is the pinned one
        with replaced(http_server.mcp, archive_customer):
            run = await crm.approve(asks)
            await until(crm.client, run, "paused")
    with replaced(http_server.mcp, archive_customer):
        async with crm.pinned(tmp_path / "next"):
            await crm.enable()
            await until(crm.client, run, "waiting_for_approval")
            assert CALLS == []
            (review,) = await crm.desk.reviews(run.split("/")[2])
            assert review["question"]["actions"][0]["description"] == "Deletes a customer for ever."
            again = await crm.approve(run)
            assert (await values_of(crm.client, again))["results"] == [{"result": "deleted 7"}]
    assert CALLS == [{"number": 7, "for ever": True}]


async def test_a_call_that_no_longer_fits_its_tool_is_not_made(
    crm: Crm, http_server: HttpServer, settings: Settings, graphs: Registry, tmp_path: Path
) -> None:
    async def archive_customer(customer: str) -> str:
        """Archives a customer."""
        CALLS.append({"customer": customer})
        return customer

    async with running_worker(settings, graphs):
        asks = await crm.asks()
        with replaced(http_server.mcp, archive_customer):
            run = await crm.approve(asks)
            await until(crm.client, run, "paused")
    with replaced(http_server.mcp, archive_customer):
        async with crm.pinned(tmp_path / "next"):
            await crm.enable()
            (result,) = (await values_of(crm.client, run))["results"]
    assert result.startswith("ToolArgumentsInvalid: tool 'crm_archive_customer': number: the tool has no such argument")
    assert CALLS == []


async def test_an_approved_call_is_made_when_its_server_has_the_tool_again(
    crm: Crm, http_server: HttpServer, settings: Settings, graphs: Registry
) -> None:
    async with running_worker(settings, graphs):
        asks, dies = await crm.asks(), await crm.asks("files")
        with removed(http_server.mcp):
            run = await crm.approve(asks)
            await until(crm.client, run, "paused")
        await crm.enable()
        assert (await values_of(crm.client, run))["results"] == [{"result": "archived 7"}]
        assert "ConnectionError" in await result_of(crm.client, "files_stop_server")
        assert (await values_of(crm.client, await crm.approve(dies)))["results"] == [{"result": "archived 7"}]
    assert len(CALLS) == 1
