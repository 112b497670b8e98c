"""The model routes of this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from slipway.graphs.models_section import ModelRoute
from slipway.model_routes.routes import ModelRoutes
from slipway.runs.current_attempt import CURRENT_ATTEMPT


@dataclass(frozen=True, slots=True, eq=False)
class OpenRoutes:
    """The routes of open services, and the event loop that they belong to. Outside of a process of Slipway there is no
    event loop."""

    routes: ModelRoutes
    loop: asyncio.AbstractEventLoop | None


_OPEN: Final[list[OpenRoutes]] = []
"""Those of the services that are open in this process, the newest last: one, except in tests."""


@contextmanager
def provide_routes(routes: ModelRoutes) -> Iterator[None]:
    """Inside the block, the project's code uses these routes."""
    opened = OpenRoutes(routes, asyncio.get_running_loop())
    _OPEN.append(opened)
    try:
        yield
    finally:
        _OPEN.remove(opened)


def current_routes() -> OpenRoutes:
    """The routes of the process. Outside of a process of Slipway: those of the environment."""
    return _OPEN[-1] if _OPEN else OpenRoutes(ModelRoutes.from_environment(), None)


def find_route(
    routes: ModelRoutes, name: str | None, config: RunnableConfig
) -> tuple[ModelRoute | None, tuple[str, ...]]:
    """The route that a call takes in the run that makes it (see `ModelRoutes.find`), and the nodes that make it."""
    attempt, nodes = CURRENT_ATTEMPT.get(), nodes_of(config)
    return routes.find(name, None if attempt is None else attempt.run.graph_id, nodes), nodes


def nodes_of(config: RunnableConfig) -> tuple[str, ...]:
    """The names of the nodes that execute: one for the graph, then one for each subgraph."""
    namespace = str((config.get("metadata") or {}).get("langgraph_checkpoint_ns") or "")
    return tuple(part.partition(":")[0] for part in namespace.split("|") if part)


def model_names(route: str | None = None) -> list[str]:
    """The models of a route, in the order in which they are tried. Without a name: those of the route that a call in
    the current node takes. Empty if no model is configured. Raises `slipway.errors.ConfigError` for a wrong name."""
    found, _ = find_route(current_routes().routes, route, ensure_config())
    return [] if found is None else [each.model for each in found.models]
