"""Runs of the project's graphs, executed as a worker does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pytest

from slipway.execution.execution import Execution
from slipway.graphs.langgraph_json import read
from slipway.graphs.registry import Registry
from slipway.runs.attempt_writer import DEFAULT_LIMITS, AttemptWriter, SendLimits
from slipway.runs.audit import AuditTrail
from slipway.runs.record import Run
from slipway.runs.scripts import RunScripts
from slipway.tool_gateway.gateway import ToolServices, tool_services
from slipway.tool_gateway.loading import load_tools
from slipway.tool_gateway.registry import ToolRegistry
from tests.project_fixtures import graphs_of, module_of
from tests.runs.conftest import TTL_S, Stores, new_run, stores
from tests.runs.executions import metering_of

__all__ = ["stores"]

PROJECT = Path(__file__).parent / "project" / "langgraph.json"

graphs = graphs_of(PROJECT)
project = module_of("./project_tools.py:plain_function")


@pytest.fixture
async def registry(graphs: Registry) -> ToolRegistry:
    """The tools of the project."""
    return await load_tools(read(PROJECT), graphs)


@dataclass(frozen=True, slots=True)
class Runs:
    """Executes runs, and reads what they left."""

    stores: Stores
    graphs: Registry
    services: ToolServices
    tools: ModuleType

    async def start(
        self, graph_id: str, thread_id: str | None = None, config: dict[str, Any] | None = None, **graph_input: Any
    ) -> Run:
        """Creates a run and claims it."""
        options = {"input": graph_input} | ({"config": config} if config else {})
        spec = new_run(thread_id or await self.stores.create_thread(), graph_id=graph_id, options=options)
        await self.stores.create(spec)
        return await self.stores.claim_one()

    def execution(
        self, run: Run, limits: SendLimits = DEFAULT_LIMITS, *, scripts: RunScripts | None = None
    ) -> Execution:
        """The execution of a claimed run."""
        writer = AttemptWriter(scripts or self.stores.scripts, run, limits=limits)
        stores = self.stores
        return Execution(
            writer,
            self.graphs,
            stores.checkpointer,
            stores.shards.of_thread(run.thread_id),
            event_ttl_s=TTL_S,
            metering=metering_of(stores),
            tools=self.services,
        )

    async def execute(self, graph_id: str, **graph_input: Any) -> Ended:
        """Executes a run to its end."""
        return await self.finish(await self.start(graph_id, **graph_input))

    async def finish(self, run: Run) -> Ended:
        """Executes an attempt at a claimed run to its end."""
        await self.execution(run).execute()
        return await self.ended(run)

    async def resume(self, run: Run, value: Any) -> Ended:
        """Continues a run that waits with this value for its interrupt, and with no decision about its review."""
        await self.stores.pipeline.send("HDEL", self.stores.keys.run(run.run_id), "reviews", "guarded")
        options = {"input": None, "command": {"resume": value}}
        await self.stores.create(new_run(run.thread_id, graph_id=run.graph_id, options=options))
        return await self.finish(await self.stores.claim_one())

    async def ended(self, run: Run) -> Ended:
        """What the run has left."""
        record, thread = await self.stores.reload(run), await self.stores.thread_of(run)
        trail = AuditTrail(self.stores.pipeline, self.stores.keys, self.stores.scripts)
        audit = [(entry.action, dict(entry.details)) for entry in await trail.read(run.run_id)]
        values = orjson.loads(thread.values) if isinstance(thread.values, bytes | str) else thread.values
        return Ended(record, values or {}, audit, self.tools.effects[run.thread_id], self.tools.keys[run.thread_id])


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that has ended."""

    run: Run
    values: dict[str, Any]
    audit: list[tuple[str, dict[str, Any]]]
    effects: list[tuple[str, Any]]
    keys: list[str]

    @property
    def results(self) -> list[Any]:
        found: list[Any] = self.values.get("results", [])
        return found

    @property
    def code(self) -> str | None:
        error: Any = self.run.error
        return (
            None if error is None else orjson.loads(error)["code"] if isinstance(error, str | bytes) else error["code"]
        )

    @property
    def message(self) -> str:
        error: Any = self.run.error
        return str(orjson.loads(error)["message"] if isinstance(error, str | bytes) else error["message"])

    def actions(self) -> list[str]:
        return [action for action, _ in self.audit]


@pytest.fixture
def runs(stores: Stores, graphs: Registry, registry: ToolRegistry, project: ModuleType) -> Runs:
    """Runs on the session's Valkey."""
    services = tool_services(registry, stores.pipeline, stores.shards, stores.scripts, stores.checkpointer)
    return Runs(stores, graphs, services, project)


Reader = Callable[[], Awaitable[Any]]
