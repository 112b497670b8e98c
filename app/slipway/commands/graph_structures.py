"""The structures of graphs that `slipway graph diff` and `slipway check-deploy` compare: of a langgraph.json, of one of
its versions, or of a version that some process has registered in Redis.

Another langgraph.json is loaded in a process of its own, because its modules may have the same names."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from slipway.commands.operator_commands import opened
from slipway.errors import ConfigError, NotFound
from slipway.graph_versions.reads import VersionReads
from slipway.graphs.structure import GraphStructure
from slipway.processes.child_commands import slipway

if TYPE_CHECKING:
    from slipway.graphs.registry import Registry
    from slipway.settings import Settings


async def structures_of_file(path: Path) -> dict[str, GraphStructure]:
    """The structures of the default versions of all graphs of a langgraph.json, by graph. Raises `ConfigError` with
    what its process has said if they cannot be loaded."""
    process = await asyncio.create_subprocess_exec(
        *slipway("graph", "structures", "--config", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, said = await process.communicate()
    if process.returncode != 0:
        lines = said.decode().strip().splitlines()
        raise ConfigError(f"{path} cannot be loaded: {lines[-1] if lines else f'exit code {process.returncode}'}")
    return {name: GraphStructure.from_json(each) for name, each in orjson.loads(printed).items()}


async def default_structures(graphs: Registry) -> dict[str, Any]:
    """The structures of the default versions of all graphs, as JSON by graph. Raises `ConfigError` for a graph that
    cannot be served. A graph that is known only when a run opens it is left out."""
    if failures := graphs.failures():
        raise ConfigError("; ".join(f"graph {name!r} cannot be served: {why}" for name, why in failures.items()))
    found = {name: await graphs.structure(name) for name in graphs.names()}
    return {name: structure.to_json() for name, structure in found.items() if structure is not None}


async def structure_of_version(settings: Settings, graphs: Registry, name: str) -> GraphStructure:
    """The structure of `graph` or `graph@version`: of the project, or else as some process has registered it in Redis.
    Raises `NotFound` if neither knows the version, and `ConfigError` if its structure is not known because a factory
    builds the graph for each run."""
    graph_id, _, version = name.partition("@")
    try:
        structure = await graphs.structure(graph_id, version or None)
    except NotFound as error:
        if not version or settings.redis_url is None:
            raise
        structure = await _registered(settings, graph_id, version, error)
    if structure is None:
        raise ConfigError(f"{name}: a factory builds this graph for each run, so that its structure is not known")
    return structure


async def _registered(settings: Settings, graph_id: str, version: str, unknown: NotFound) -> GraphStructure | None:
    """The structure that a process has registered. Raises `unknown` if there is no such version, too."""
    async with opened(settings, "graph diff", seals=False) as (pipeline, shards):
        reads = VersionReads(pipeline, shards.home)
        registered = await reads.version(graph_id, version)
        if registered is None:
            raise unknown
        return (await reads.structures([registered.schema])).get(registered.schema)


def write_json(structures: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(structures))
