"""What the checks read: settings, langgraph.json, the project's code, and Redis over one connection."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import hiredis

from slipway.clock import Clock
from slipway.encryption_at_rest.process_keys import process_keys
from slipway.errors import ConfigError
from slipway.graphs.interface import Graphs
from slipway.graphs.langgraph_json import LangGraphJson, read
from slipway.graphs.registry import Registry
from slipway.health import start_checks
from slipway.health.health import Health, HealthMonitor
from slipway.health.server_info import ServerInfo, read_server_info
from slipway.mcp_servers.project_registry import ProjectTools, load_project_tools
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.deployment_shards import shards_of
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.settings import Settings

_PATIENCE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class ProjectCode:
    """The project's code as this process has loaded it. `tools` is None if its tools cannot be loaded, for the reason
    in `tools_problem`."""

    graphs: Graphs
    tools: ProjectTools | None
    tools_problem: str = ""


@dataclass(frozen=True, slots=True)
class Inputs:
    """`environment` has the variables of this process before those of the project's `env` were set. `code` is None
    where no chosen check needs it: it is not imported then."""

    settings: Settings
    project: LangGraphJson
    environment: Mapping[str, str]
    pipeline: Pipeline
    shards: Shards
    health: Health
    server: ServerInfo
    """What the server reports about itself, also where `health` could not be measured because it rejects writes."""
    clock: Clock
    code: ProjectCode | None = None

    @property
    def loaded(self) -> ProjectCode:
        """The project's code, for the checks of parts that need it."""
        assert self.code is not None
        return self.code


@asynccontextmanager
async def open_inputs(
    settings: Settings, environment: Mapping[str, str], *, with_code: bool, repair: bool = False
) -> AsyncIterator[Inputs]:
    """Opens one connection. With `repair`, the keys of the settings are recorded, as by every process that writes; not
    otherwise, because processes without them would not start any more. What the project's code prints while it is
    imported goes to standard error. Raises `StoreUnavailable`, and `ConfigError` if langgraph.json is wrong, the server
    does not support the checkpointer or the data have another layout version."""
    await start_checks.check(settings, settings.redis, upgrade=False)
    project, clock, shards = read(settings.config), Clock(), shards_of(settings)
    pipeline = pipeline_to(
        Address(settings.redis), "slipway doctor", patience_s=_PATIENCE_S, counts_metrics=settings.metrics
    )
    await pipeline.open()
    try:
        async with AsyncExitStack() as stack:
            with contextlib.suppress(hiredis.ReplyError):  # a user that may only read: encrypted values stay unread
                await stack.enter_async_context(process_keys(settings, pipeline, shards.encryption, writes=repair))
            health = await HealthMonitor(pipeline, shards, settings, clock, list(project.graphs)).measure()
            server = health.server or await read_server_info(pipeline)
            code = await _loaded(settings, project) if with_code else None
            yield Inputs(settings, project, environment, pipeline, shards, health, server, clock, code)
    finally:
        await pipeline.close()


async def _loaded(settings: Settings, project: LangGraphJson) -> ProjectCode:
    with contextlib.redirect_stdout(sys.stderr):
        graphs = await Registry.load(settings.config, release=settings.release)
        try:
            return ProjectCode(graphs, await load_project_tools(project, graphs))
        except ConfigError as error:
            return ProjectCode(graphs, None, str(error))
