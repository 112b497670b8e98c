"""What the API and the workers know of graphs: what langgraph.json says, what a compiled graph is like, how to get one.

Importing and compiling is the workers' part (`app/slipway/graphs/registry.py`); everybody else asks through `Graphs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from slipway.graphs.manifest import Manifest
from slipway.graphs.spec import GraphSpec

if TYPE_CHECKING:  # LangGraph takes half a second to import, and a supervisor does without
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel
    from langgraph.store.base import BaseStore

Graph: TypeAlias = "Pregel[Any, Any, Any, Any]"
"""A compiled graph: a `CompiledStateGraph`, or the bare Pregel that `@entrypoint` makes."""

AccessContext = Literal["threads.create_run", "threads.update", "threads.read", "assistants.read"]
"""Why a graph is wanted. Factories are told, so that they open costly resources for runs only."""


class Graphs(Protocol):
    """The graphs of this deployment. `open` is the only way to one that can be executed."""

    def names(self) -> list[str]:
        """Every graph of langgraph.json that can be served, in the file's order."""
        ...

    def failures(self) -> dict[str, str]:
        """Graph id to one paragraph on why it cannot be served, with the place in the user's code."""
        ...

    def spec(self, graph_id: str) -> GraphSpec:
        """`NotFound` when langgraph.json does not name it, `GraphUnavailable` when it did not import or compile."""
        ...

    async def manifest(self, graph_id: str, config: RunnableConfig | None = None) -> Manifest:
        """Made once for each graph. With `config` (an assistant's), a factory is asked anew. Raises as `spec`."""
        ...

    def has_factory(self, graph_id: str) -> bool:
        """Whether a function makes the graph anew for each `config`; `open` does not look at it otherwise."""
        ...

    def open(
        self, graph_id: str, config: RunnableConfig, access: AccessContext, context: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[Graph]:
        """The compiled graph, with whatever its factory holds open for it; see `with_checkpointer` before executing it.

        Nearly free unless the graph has a factory. Raises as `spec`, and `GraphUnavailable` on entering when the
        factory fails.
        """
        ...

    def attribute(self, source: str) -> object:
        """What `./file.py:name` or `package.module:name` means in the project, which need not be a graph. Imports the
        author's code, which may raise anything, and may block."""
        ...

    def use_store(self, store: BaseStore) -> None:
        """What factories find in their runtime from now on."""
        ...

    def state_types(self) -> set[type]:
        """Classes that the graphs' states are declared with: what the serializer may construct again."""
        ...

    def module(self, name: str) -> ModuleType | None:
        """The module of that name, if graphs use it: objects of its data classes are restored from stored state."""
        ...


def with_checkpointer(
    graph: Graph, checkpointer: BaseCheckpointSaver[Any] | None, store: BaseStore | None = None
) -> Graph:
    """A shallow copy with our checkpointer, whatever the graph was compiled with. About a microsecond.

    Without a `store` the graph keeps the one it was compiled with. `Pregel.copy` is not used: it validates the
    graph again each time and forgets how state models are restored from channel values.
    """
    cls = type(graph)
    copy = cls.__new__(cls)
    copy.__dict__.update(graph.__dict__)
    copy.checkpointer = checkpointer
    if store is not None:
        copy.store = store
    return copy
