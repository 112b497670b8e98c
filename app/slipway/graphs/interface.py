"""The interface to the graphs of a deployment. `graphs/registry.py` implements it; all other code uses `Graphs`.

This module imports LangGraph for type checkers only, so a supervisor can import it quickly.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from slipway.graphs.manifest import Manifest
from slipway.graphs.spec import GraphSpec

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
    """The graphs of this deployment. Only `open` returns a graph that can be executed."""

    def names(self) -> list[str]:
        """The ids of all graphs that can be served, in the order of langgraph.json."""
        ...

    def failures(self) -> dict[str, str]:
        """Why graphs cannot be served, by graph id: one paragraph each, with the line of the project's code."""
        ...

    def spec(self, graph_id: str) -> GraphSpec:
        """Raises `NotFound` when langgraph.json does not name the graph, and `GraphUnavailable` when it did not import
        or compile."""
        ...

    async def manifest(self, graph_id: str, config: RunnableConfig | None = None) -> Manifest:
        """The description of the graph, computed once and cached. With a `config` (of an assistant), the factory of a
        graph is called again, and the result is not cached. Raises the errors of `spec`."""
        ...

    def has_factory(self, graph_id: str) -> bool:
        """Whether a factory builds the graph for each `config`. Without a factory, `open` ignores the config."""
        ...

    def open(
        self, graph_id: str, config: RunnableConfig, access: AccessContext, context: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[Graph]:
        """A context manager of the compiled graph: its factory may close resources on exit. The graph has no
        checkpointer of Slipway yet, see `with_checkpointer`. Costs almost nothing unless the graph has a factory.
        Raises the errors of `spec`; entering raises `GraphUnavailable` if the factory fails."""
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
