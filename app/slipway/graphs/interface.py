"""The interface to the graphs of a deployment. `graphs/registry.py` implements it; all other code uses `Graphs`.

This module imports LangGraph for type checkers only, so a supervisor can import it quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from slipway.graphs.builds import Build, BuildParts
from slipway.graphs.manifest import Manifest
from slipway.graphs.served_version import ServedVersion
from slipway.graphs.spec import GraphSpec
from slipway.graphs.structure import GraphStructure

if TYPE_CHECKING:  # LangGraph takes half a second to import, and a supervisor does not need it
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel
    from langgraph.store.base import BaseStore

Graph: TypeAlias = "Pregel[Any, Any, Any, Any]"
"""A compiled graph: a `CompiledStateGraph`, or the `Pregel` that `@entrypoint` builds."""

AccessContext = Literal["threads.create_run", "threads.update", "threads.read", "assistants.read"]
"""Why a graph is opened. Factories receive it, so that they can open costly resources for runs only."""


class Graphs(Protocol):
    """The graphs of this deployment, each in one or several versions. Only `open` returns a graph that can be executed.

    A `version` is the name of a version that this process has loaded; None is the default version of the graph. A
    method that gets another name raises `NotFound`, which names the loaded ones, or `GraphUnavailable` if the version
    did not import or compile.
    """

    def names(self) -> list[str]:
        """The ids of all graphs of which at least one version can be served, in the order of langgraph.json."""
        ...

    def failures(self) -> dict[str, str]:
        """Why graphs cannot be served: one paragraph each, with the line of the project's code. By graph id, or by
        `graph@version` if other versions of the graph are served."""
        ...

    def spec(self, graph_id: str) -> GraphSpec:
        """Raises `NotFound` when langgraph.json does not name the graph, and `GraphUnavailable` when none of its
        versions did import and compile."""
        ...

    async def identify(self) -> None:
        """Reads the structures of graphs with factories: each factory is called once, without a config, for at most
        some seconds. Before that, and if a factory fails, the schemas of its versions are empty. Called at the start of
        each process that executes runs, after `use_store`. The second call does nothing."""
        ...

    def versions(self, graph_id: str) -> Sequence[ServedVersion]:
        """The versions that this process has loaded, oldest first. Raises the errors of `spec`."""
        ...

    def default_version(self, graph_id: str) -> str:
        """The name of the version of new threads. It is the declared one also if that failed to load, and then
        `versions` lacks it. Raises the errors of `spec`."""
        ...

    def serves(self, graph_id: str, version: str | None) -> bool:
        """Whether `open` accepts this version of this graph. Takes a microsecond."""
        ...

    def version(self, graph_id: str, name: str | None = None) -> ServedVersion:
        """One version. Raises the errors of `spec`, and those for an unknown version."""
        ...

    async def structure(self, graph_id: str, version: str | None = None) -> GraphStructure | None:
        """The structure of a version, read once. None if the graph is known only when a run opens it, because its
        factory needs the config of a run. Raises the errors of `version`."""
        ...

    def build(self, graph_id: str, version: str | None = None) -> Build:
        """What runs of a version are made from; `ServedVersion.build` is its id. Raises the errors of `version`."""
        ...

    def use_build_parts(self, parts: BuildParts) -> None:
        """Sets the parts of builds that are not in langgraph.json. Changes the ids of all builds."""
        ...

    async def manifest(
        self, graph_id: str, config: RunnableConfig | None = None, *, version: str | None = None
    ) -> Manifest:
        """The description of a version, computed once and cached. With a `config` (of an assistant), the factory of a
        graph is called again, and the result is not cached. Raises the errors of `version`."""
        ...

    def has_factory(self, graph_id: str, version: str | None = None) -> bool:
        """Whether a factory builds the graph for each `config`. Without a factory, `open` ignores the config. False for
        a graph or a version that is not loaded."""
        ...

    def open(
        self,
        graph_id: str,
        config: RunnableConfig,
        access: AccessContext,
        context: Mapping[str, Any] | None = None,
        *,
        version: str | None = None,
    ) -> AbstractAsyncContextManager[Graph]:
        """A context manager of the compiled graph: its factory may close resources on exit. The graph has no
        checkpointer of Slipway yet, see `with_checkpointer`. Costs almost nothing unless the graph has a factory.
        Raises the errors of `version`; entering raises `GraphUnavailable` if the factory fails."""
        ...

    def load_module(self, where: str) -> ModuleType:
        """Imports `./file.py` or `package.module` of the project. The import may block. Raises `ConfigError` if it
        fails."""
        ...

    def load_object(self, source: str) -> object:
        """Imports a file or a module of the project and returns the object that `./file.py:name` or
        `package.module:name` names, a graph or any other object. The import may block. Raises `ConfigError` if the
        import fails or the object does not exist."""
        ...

    def use_store(self, store: BaseStore) -> None:
        """Sets the store that factories find in their runtime."""
        ...

    def state_types(self) -> set[type]:
        """The classes in the declarations of the graphs' states. The serializer may restore stored objects to them."""
        ...

    def module(self, name: str) -> ModuleType | None:
        """The module of that name if graphs use it, else None. Stored objects are restored to its data classes."""
        ...


def with_checkpointer(
    graph: Graph, checkpointer: BaseCheckpointSaver[Any] | None, store: BaseStore | None = None
) -> Graph:
    """A shallow copy of the graph with this checkpointer instead of the one it was compiled with. Takes a microsecond.

    Without a `store` the graph keeps the one it was compiled with. `Pregel.copy` is not used, because it validates the
    graph each time and loses the mapper that builds state models from channel values.
    """
    cls = type(graph)
    copy = cls.__new__(cls)
    copy.__dict__.update(graph.__dict__)
    copy.checkpointer = checkpointer
    if store is not None:
        copy.store = store
    return copy
