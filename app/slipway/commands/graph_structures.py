"""The structures of graphs that `slipway graph diff` and `slipway check-deploy` compare: of a langgraph.json, or of one
of its versions.

Another langgraph.json is loaded in a process of its own, because its modules may have the same names."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from slipway.errors import ConfigError
from slipway.graphs.structure import GraphStructure
from slipway.processes.child_commands import slipway

if TYPE_CHECKING:
    from slipway.graphs.registry import Registry


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


async def structure_of_version(graphs: Registry, name: str) -> GraphStructure:
    """The structure of `graph` or `graph@version` of the project. Raises `NotFound` for an unknown version, and
    `ConfigError` if its graph is known only when a run opens it."""
    graph_id, _, version = name.partition("@")
    structure = await graphs.structure(graph_id, version or None)
    if structure is None:
        raise ConfigError(f"{name}: a factory builds this graph for each run, so that its structure is not known")
    return structure


def write_json(structures: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(structures))
