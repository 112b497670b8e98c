"""The graphs of langgraph.json, imported and compiled: the only implementation of `interface.Graphs`.

All graphs are loaded at start, in a thread. A graph that fails to load is recorded with the reason; all other graphs
are served.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore

from slipway.errors import ConfigError, GraphUnavailable, NotFound
from slipway.graphs import loading
from slipway.graphs.annotations import classes_in, declared_by
from slipway.graphs.describe import manifest_of
from slipway.graphs.factories import Factory, FactoryCall, NotAGraph, compile_graph, factory_of
from slipway.graphs.interface import AccessContext, Graph
from slipway.graphs.langgraph_json import LangGraphJson, read
from slipway.graphs.manifest import Manifest
from slipway.graphs.modules import GraphModules
from slipway.graphs.spec import GraphSpec

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class OpenedGraph(AbstractAsyncContextManager[Graph]):
    """The context manager of a graph without a factory. It has no state of its own, so all runs share one object."""

    __slots__ = ("graph",)

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    async def __aenter__(self) -> Graph:
        return self.graph

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Registry:
    """The graphs that `Registry.load` loaded."""

    def __init__(self, config: LangGraphJson, store: BaseStore | None, before: Collection[str]) -> None:
        self._specs = config.graphs
        self._config = config
        self._store = store
        self._modules = GraphModules(config.search_paths, before)
        self._ready: dict[str, OpenedGraph] = {}
        self._factories: dict[str, Factory] = {}
        self._failures: dict[str, str] = {}
        self._manifests: dict[str, Manifest] = {}
        self._describing: dict[str, asyncio.Lock] = {}
        self._state_types: set[type] = set()
        self._collected_schemas: set[type] = set()

    @classmethod
    async def load(cls, path: Path | str, store: BaseStore | None = None) -> Registry:
        """Reads langgraph.json and imports all its graphs. `store` is the store that factories find in their runtime.
        Raises `ConfigError` for an error in the file. A graph that fails to load is recorded in `failures`."""
        return await asyncio.to_thread(cls._load, path, store)

    @classmethod
    def _load(cls, path: Path | str, store: BaseStore | None) -> Registry:
        registry = cls(read(path), store, frozenset(sys.modules))
        loading.prepare(registry._config)
        for spec in registry._specs.values():
            registry._load_graph(spec)
        return registry

    def _load_graph(self, spec: GraphSpec) -> None:
        try:
            target = loading.load(spec.source, self._config)
            graph = compile_graph(target)
            if graph is None:
                self._factories[spec.graph_id] = factory_of(target)
            else:
                self._collect_types(graph)
                self._ready[spec.graph_id] = OpenedGraph(graph)
        except NotAGraph as error:
            self._fail(spec, f"{spec.source} cannot be served: {error}")
        except (Exception, SystemExit) as error:  # the project's code may raise anything, and may call sys.exit()
            self._fail(spec, loading.reason(error, self._config))

    def _fail(self, spec: GraphSpec, reason: str) -> None:
        self._failures[spec.graph_id] = reason
        log.error("graph.unavailable", graph=spec.graph_id, source=spec.source, reason=reason)

    def names(self) -> list[str]:
        if not self._failures:
            return list(self._specs)
        return [graph_id for graph_id in self._specs if graph_id not in self._failures]

    def failures(self) -> dict[str, str]:
        return dict(self._failures)

    def state_types(self) -> set[type]:
        """The classes of a graph with a factory are included from the first call of the factory on."""
        return set(self._state_types)

    def module(self, name: str) -> ModuleType | None:
        return self._modules(name)

    def spec(self, graph_id: str) -> GraphSpec:
        if graph_id in self._failures:
            raise GraphUnavailable(
                f"graph {graph_id!r} cannot be served: it failed to load; the server's log has the reason"
            )
        try:
            return self._specs[graph_id]
        except KeyError:
            raise NotFound("graph", graph_id, known=self.names()) from None

    def load_object(self, source: str) -> object:
        """Raises `ConfigError` with the reason and the line of the project's code."""
        try:
            return loading.load(source, self._config)
        except (Exception, SystemExit) as error:  # the project's code may raise anything
            raise ConfigError(loading.reason(error, self._config)) from error

    def use_store(self, store: BaseStore) -> None:
        self._store = store

    def has_factory(self, graph_id: str) -> bool:
        return graph_id in self._factories

    def open(
        self, graph_id: str, config: RunnableConfig, access: AccessContext, context: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[Graph]:
        ready = self._ready.get(graph_id)
        if ready is not None:
            return ready
        self.spec(graph_id)
        call = FactoryCall(config, access, context, self._store)
        return self._factories[graph_id].open(graph_id, call, self._collect_types)

    async def manifest(self, graph_id: str, config: RunnableConfig | None = None) -> Manifest:
        spec = self.spec(graph_id)
        if config is not None and graph_id in self._factories:
            return await self._describe(spec, config)
        async with self._describing.setdefault(graph_id, asyncio.Lock()):
            manifest = self._manifests.get(graph_id)
            if manifest is None:
                manifest = self._manifests[graph_id] = await self._describe(spec, {})
        return manifest

    async def _describe(self, spec: GraphSpec, config: RunnableConfig) -> Manifest:
        async with self.open(spec.graph_id, config, "assistants.read") as graph:
            return await asyncio.to_thread(manifest_of, graph, spec)

    def _collect_types(self, graph: Graph) -> None:
        """Adds the classes of the graph to `state_types`. Cheap if the schemas of the graph were collected before, as
        for the second graph of a factory."""
        schemas = set(_schemas(graph))
        if schemas and schemas <= self._collected_schemas:
            return
        classes = classes_in(declared_by(graph))
        self._state_types |= {cls for cls in classes if "<locals>" not in cls.__qualname__}
        self._collected_schemas |= {cls for cls in schemas if "<locals>" not in cls.__qualname__}


def _schemas(graph: Graph) -> Iterator[type]:
    builder = getattr(graph, "builder", None)
    if builder is not None:
        yield from (schema for schema in builder.schemas if isinstance(schema, type))
    for _, subgraph in graph.get_subgraphs(recurse=True):
        yield from (s for s in getattr(getattr(subgraph, "builder", None), "schemas", ()) if isinstance(s, type))
