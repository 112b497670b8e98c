"""The graphs of langgraph.json, imported and compiled: the only implementation of `interface.Graphs`.

All versions of all graphs are loaded at start, in a thread. A version that fails to load is recorded with the reason;
all others are served.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.store.base import BaseStore

from slipway.errors import ConfigError, GraphUnavailable, NotFound, SlipwayError
from slipway.exception_text import repr_of
from slipway.graphs import loading
from slipway.graphs.annotations import classes_in, declared_by
from slipway.graphs.builds import Build, BuildParts, build_of
from slipway.graphs.describe import manifest_of
from slipway.graphs.factories import FactoryCall, NotAGraph, compile_graph, factory_of
from slipway.graphs.interface import AccessContext, Graph
from slipway.graphs.langgraph_json import LangGraphJson, read
from slipway.graphs.loaded_version import LoadedVersion, OpenedGraph, undeclared_name
from slipway.graphs.manifest import Manifest
from slipway.graphs.modules import GraphModules
from slipway.graphs.read_structure import structure_of
from slipway.graphs.served_version import ServedVersion
from slipway.graphs.shadowed_modules import shadowed_module
from slipway.graphs.spec import GraphSpec
from slipway.graphs.structure import GraphStructure

IDENTIFY_S: Final = 10
"""Seconds that a factory may take to make the graph whose structure is read."""

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Registry:
    """The graphs that `Registry.load` loaded. `release` is the release of the project, empty if nothing names it."""

    def __init__(
        self, config: LangGraphJson, store: BaseStore | None, before: Collection[str], release: str = ""
    ) -> None:
        self._specs = config.graphs
        self._config = config
        self._store = store
        self._release = release
        self._parts = BuildParts()
        self._modules = GraphModules(config.search_paths, before)
        self._versions = {graph_id: _versions_of(spec) for graph_id, spec in config.graphs.items()}
        self._by_name: dict[tuple[str, str | None], LoadedVersion] = {}
        self._state_types: set[type] = set()
        self._collected_schemas: set[type] = set()

    @classmethod
    async def load(cls, path: Path | str, store: BaseStore | None = None, *, release: str = "") -> Registry:
        """Reads langgraph.json and imports all its graphs. `store` is the store that factories find in their runtime.
        Raises `ConfigError` for an error in the file. A version that fails to load is recorded in `failures`."""
        return await asyncio.to_thread(cls._load, path, store, release)

    @classmethod
    def _load(cls, path: Path | str, store: BaseStore | None, release: str) -> Registry:
        registry = cls(read(path), store, frozenset(sys.modules), release)
        loading.prepare(registry._config)
        for versions in registry._versions.values():
            for version in versions:
                registry._load_version(version)
        registry._name_versions()
        return registry

    def _load_version(self, version: LoadedVersion) -> None:
        try:
            target = loading.load(version.source, self._config)
            self._check_modules(version)
            graph = compile_graph(target)
            if graph is None:
                version.factory = factory_of(target)
            else:
                self._collect_types(graph)
                version.opened = OpenedGraph(graph)
                version.set_structure(self._structure_of(version, graph))
        except NotAGraph as error:
            self._fail(version, f"{version.source} cannot be served: {error}")
        except (Exception, SystemExit) as error:  # the project's code may raise anything, and may call sys.exit()
            self._fail(version, loading.reason(error, self._config))

    def _check_modules(self, version: LoadedVersion) -> None:
        """Raises `CannotLoad` if the version has imported modules of another one."""
        if len(self._versions[version.graph_id]) > 1:
            module = loading.load_module(version.source.rpartition(":")[0], self._config)
            problem = shadowed_module(module, [self._config.folder.resolve(), *self._config.search_paths])
            if problem is not None:
                raise loading.CannotLoad(problem)

    def _fail(self, version: LoadedVersion, reason: str) -> None:
        version.failure = reason
        log.error(
            "graph.unavailable",
            graph=version.graph_id,
            source=version.source,
            problem=reason,
            version=version.declared,
        )

    def names(self) -> list[str]:
        return [graph_id for graph_id, versions in self._versions.items() if _any_served(versions)]

    def failures(self) -> dict[str, str]:
        reasons = {}
        for graph_id, versions in self._versions.items():
            alone = len(versions) == 1
            for each in versions:
                if each.failure is not None:
                    reasons[graph_id if alone else f"{graph_id}@{each.declared}"] = each.failure
        return reasons

    def state_types(self) -> set[type]:
        """The classes of a graph with a factory are included from the first call of the factory on."""
        return set(self._state_types)

    def module(self, name: str) -> ModuleType | None:
        return self._modules(name)

    def spec(self, graph_id: str) -> GraphSpec:
        versions = self._versions.get(graph_id)
        if versions is None:
            raise NotFound("graph", graph_id, known=self.names())
        if not _any_served(versions):
            raise _unavailable(f"graph {graph_id!r}")
        return self._specs[graph_id]

    async def identify(self) -> None:
        unknown = [each for versions in self._versions.values() for each in versions if not each.identified]
        await asyncio.gather(*(self._identify(each) for each in unknown if each.factory is not None))

    async def _identify(self, version: LoadedVersion) -> None:
        async with version.reading:
            if version.identified:
                return
            try:
                async with (
                    asyncio.timeout(IDENTIFY_S),
                    self._open(version, {}, "assistants.read", logged=False) as graph,
                ):
                    structure = await asyncio.to_thread(self._structure_of, version, graph)
            except (SlipwayError, TimeoutError) as error:
                structure = None
                log.info("graph.structure_not_read", graph=version.graph_id, source=version.source, problem=str(error))
            version.set_structure(structure)
            self._name_versions()

    def _structure_of(self, version: LoadedVersion, graph: Graph) -> GraphStructure | None:
        """None if the project's classes prevent it: such a graph is served as one whose structure is unknown."""
        try:
            spec = self._specs[version.graph_id]
            return structure_of(graph, spec.behaviour, spec.removed_channels)
        except Exception as error:
            log.warning(
                "graph.structure_unknown", graph=version.graph_id, source=version.source, problem=repr_of(error)
            )
            return None

    def versions(self, graph_id: str) -> Sequence[ServedVersion]:
        self.spec(graph_id)
        return [each.served for each in self._versions[graph_id] if each.served is not None]

    def default_version(self, graph_id: str) -> str:
        declared = self.spec(graph_id).default_version
        return self.version(graph_id).name if declared is None else declared

    def serves(self, graph_id: str, version: str | None) -> bool:
        return (graph_id, version) in self._by_name

    def version(self, graph_id: str, name: str | None = None) -> ServedVersion:
        served = self._loaded(graph_id, name).served
        assert served is not None
        return served

    async def structure(self, graph_id: str, version: str | None = None) -> GraphStructure | None:
        loaded = self._loaded(graph_id, version)
        await self._identify(loaded)
        return loaded.structure

    def build(self, graph_id: str, version: str | None = None) -> Build:
        build = self._loaded(graph_id, version).build
        assert build is not None
        return build

    def use_build_parts(self, parts: BuildParts) -> None:
        self._parts = parts
        self._name_versions()

    def load_module(self, where: str) -> ModuleType:
        """Raises `ConfigError` with the reason and the line of the project's code."""
        try:
            return loading.load_module(where, self._config)
        except (Exception, SystemExit) as error:  # the project's code may raise anything
            raise ConfigError(loading.reason(error, self._config)) from error

    def load_object(self, source: str) -> object:
        """Raises `ConfigError` with the reason and the line of the project's code."""
        try:
            return loading.load(source, self._config)
        except (Exception, SystemExit) as error:  # the project's code may raise anything
            raise ConfigError(loading.reason(error, self._config)) from error

    def use_store(self, store: BaseStore) -> None:
        self._store = store

    def has_factory(self, graph_id: str, version: str | None = None) -> bool:
        loaded = self._by_name.get((graph_id, version))
        return loaded is not None and loaded.factory is not None

    def open(
        self,
        graph_id: str,
        config: RunnableConfig,
        access: AccessContext,
        context: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
    ) -> AbstractAsyncContextManager[Graph]:
        return self._open(self._loaded(graph_id, version), config, access, context)

    def _open(
        self,
        version: LoadedVersion,
        config: RunnableConfig,
        access: AccessContext,
        context: Mapping[str, Any] | None = None,
        *,
        logged: bool = True,
    ) -> AbstractAsyncContextManager[Graph]:
        if version.opened is not None:
            return version.opened
        assert version.factory is not None
        call = FactoryCall(config, access, context, self._store, logged)
        return version.factory.open(version.graph_id, call, self._collect_types)

    async def manifest(
        self, graph_id: str, config: RunnableConfig | None = None, *, version: str | None = None
    ) -> Manifest:
        loaded = self._loaded(graph_id, version)
        if config is not None and loaded.factory is not None:
            return await self._describe(loaded, config)
        async with loaded.reading:
            if loaded.manifest is None:
                loaded.manifest = await self._describe(loaded, {})
        return loaded.manifest

    async def _describe(self, version: LoadedVersion, config: RunnableConfig) -> Manifest:
        assert version.served is not None
        async with self._open(version, config, "assistants.read") as graph:
            return await asyncio.to_thread(manifest_of, graph, self._specs[version.graph_id], version.served.name)

    def _loaded(self, graph_id: str, name: str | None) -> LoadedVersion:
        """Raises the errors that `Graphs` names for an unknown graph or version."""
        loaded = self._by_name.get((graph_id, name))
        if loaded is not None:
            return loaded
        spec = self.spec(graph_id)
        wanted = spec.default_version if name is None else name
        if any(each.declared == wanted for each in self._versions[graph_id]):
            raise _unavailable(f"version {wanted!r} of graph {graph_id!r}")
        known = [each.name for each in self.versions(graph_id)]
        raise NotFound("graph version", f"{graph_id}@{wanted}", known=known)

    def _name_versions(self) -> None:
        """Sets the names and the builds of all versions that are loaded. The name of a version that langgraph.json does
        not name contains its fingerprint, so it changes when the structure becomes known."""
        by_name: dict[tuple[str, str | None], LoadedVersion] = {}
        for graph_id, versions in self._versions.items():
            default = self._specs[graph_id].default_version
            for each in versions:
                if each.failure is not None:
                    continue
                name = each.declared or undeclared_name(self._release, each.fingerprint)
                each.build = build_of(graph_id, name, each.structure, self._release, self._parts)
                each.served = ServedVersion(graph_id, name, each.schema, each.build.id, each.declared is not None)
                by_name[graph_id, name] = each
                if each.declared == default:
                    by_name[graph_id, None] = each
        self._by_name = by_name

    def _collect_types(self, graph: Graph) -> None:
        """Adds the classes of the graph to `state_types`. Cheap if the schemas of the graph were collected before, as
        for the second graph of a factory."""
        schemas = set(_schemas(graph))
        if schemas and schemas <= self._collected_schemas:
            return
        classes = classes_in(declared_by(graph))
        self._state_types |= {cls for cls in classes if "<locals>" not in cls.__qualname__}
        self._collected_schemas |= {cls for cls in schemas if "<locals>" not in cls.__qualname__}


def _versions_of(spec: GraphSpec) -> list[LoadedVersion]:
    if not spec.versions:
        return [LoadedVersion(spec.graph_id, None, spec.source)]
    return [LoadedVersion(spec.graph_id, each.name, each.source) for each in spec.versions]


def _any_served(versions: Sequence[LoadedVersion]) -> bool:
    return any(each.failure is None for each in versions)


def _unavailable(what: str) -> GraphUnavailable:
    return GraphUnavailable(f"{what} cannot be served: it failed to load; the server's log has the reason")


def _schemas(graph: Graph) -> Iterator[type]:
    builder = getattr(graph, "builder", None)
    if builder is not None:
        yield from (schema for schema in builder.schemas if isinstance(schema, type))
    for _, subgraph in graph.get_subgraphs(recurse=True):
        yield from (s for s in getattr(getattr(subgraph, "builder", None), "schemas", ()) if isinstance(s, type))
