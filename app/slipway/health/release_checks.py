"""Release checks: whether a new release can work with this Redis and these settings. They are executed before it
replaces the old release."""

from __future__ import annotations

from typing import Final

from slipway.errors import ConfigError, StoreUnavailable
from slipway.graphs.interface import Graphs
from slipway.graphs.langgraph_json import LangGraphJson
from slipway.health import start_checks
from slipway.health.findings import Level
from slipway.health.server_info import read_server_info
from slipway.mcp_servers.project_registry import load_project_tools
from slipway.model_routes.node_check import check_nodes
from slipway.model_routes.provider_check import check_providers
from slipway.progress import progress_on_stderr
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.reviews.node_check import check_review_nodes
from slipway.settings import Settings
from slipway.tool_gateway.grant_nodes import check_factories

_PATIENCE_S: Final = 10.0


async def redis_problems(settings: Settings, *, upgrade: bool = True) -> list[str]:
    """The problems that a restart would not solve, one sentence each. With `upgrade`, data of an older layout are
    upgraded; processes of the release before then drain and exit, so this is the last step of a release."""
    pipeline = pipeline_to(Address(settings.redis), "release", patience_s=_PATIENCE_S)
    try:
        await pipeline.open()
        server = await read_server_info(pipeline)
    except StoreUnavailable as error:
        return [str(error)]
    finally:
        await pipeline.close()
    try:
        with progress_on_stderr() as show:
            await start_checks.check(settings, settings.redis, upgrade=upgrade, accept_older=not upgrade, show=show)
    except (ConfigError, StoreUnavailable) as error:
        return [str(error)]
    return [finding.detail for finding in server.findings() if finding.level is Level.ERROR]


async def project_problems(config: LangGraphJson, graphs: Graphs, model: str | None = None) -> list[str]:
    """What is wrong with the tools, grants, MCP servers, models (SLIPWAY_MODEL is `model`), model routes and policies
    of reviews of the project: at most one sentence about the models, one about the nodes of routes, one about the
    reviews and one about the rest."""

    async def check_models(config: LangGraphJson, graphs: Graphs) -> None:
        check_providers(model, config)

    problems = []
    for check in (_check_tools, check_models, check_nodes, check_review_nodes):
        try:
            await check(config, graphs)
        except ConfigError as error:
            problems.append(str(error))
    return problems


async def _check_tools(config: LangGraphJson, graphs: Graphs) -> None:
    tools = await load_project_tools(config, graphs)
    await check_factories(graphs, tools.registry.unchecked_nodes)
