"""What the API and the workers know of graphs: what langgraph.json says, what a compiled graph is like, how to get one.

Importing and compiling is the workers' part (`app/slipway/graphs/registry.py`); everybody else asks through `Graphs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:  # LangGraph takes half a second to import, and a supervisor does without
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel
    from langgraph.store.base import BaseStore

Graph: TypeAlias = "Pregel[Any, Any, Any, Any]"
"""A compiled graph: a `CompiledStateGraph`, or the bare Pregel that `@entrypoint` makes."""

Priority = Literal["high", "normal", "low"]

JsonSchema: TypeAlias = dict[str, Any]

Execution = Literal["worker", "inline"]

Access = Literal["threads.create_run", "threads.update", "threads.read", "assistants.read"]
"""Why a graph is wanted. Factories are told, so that they open costly resources for runs only."""


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One graph as langgraph.json names it. Nothing has been imported for it."""

    graph_id: str
    source: str
    """`./file.py:attribute` or `package.module:attribute`, as written."""
    description: str | None = None
    execution: Execution = "worker"
    inline_budget_s: float | None = None
    """How long the web process keeps an inline run before a worker continues it; None leaves that to the settings."""
    ceilings: dict[str, float] = field(default_factory=dict)
    """By name, such as `max_steps`: the file's own for all graphs, overridden by those of this graph."""
    version: str = "1"
    config: dict[str, Any] = field(default_factory=dict)
    """Of the graph's system assistant (`LANGGRAPH_CONFIG`); assistants that clients make do not inherit it."""
    priority: Priority = "normal"
    max_running_runs: int | None = None
    """Runs of this graph that execute at once in the whole deployment; further ones wait."""


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON schemas of one graph. None where a type cannot be described, or where there is nothing to describe."""

    input: JsonSchema | None
    output: JsonSchema | None
    state: JsonSchema | None
    config: JsonSchema | None
    context: JsonSchema | None

    def public(self) -> dict[str, JsonSchema | None]:
        """As the protocol spells them."""
        return {
            "input_schema": self.input,
            "output_schema": self.output,
            "state_schema": self.state,
            "config_schema": self.config,
            "context_schema": self.context,
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    """A compiled graph described in plain JSON data: what can be shown without having its code at hand."""

    graph_id: str
    name: str
    """The compiled graph's own name, or the graph id when it was given none."""
    description: str | None
    version: str
    nodes: tuple[str, ...]
    """In the order they were added, without the start node."""
    schemas: Schemas
    drawings: tuple[dict[str, Any], ...]
    """The drawing with the first n levels of subgraphs opened, at index n; the last one has all of them open."""
    subgraphs: dict[str, Schemas]
    """Every subgraph, nested ones too, by namespace (`parent|child`)."""
    channels: dict[str, str]
    """State channels, each with a text that changes when its type or its reducer does."""
    fingerprint: str
    """Equal for graphs whose state, nodes and edges are equal, in every process and on every machine."""

    def public_schemas(self) -> dict[str, Any]:
        """Body of `GET /assistants/{A}/schemas`."""
        return {"graph_id": self.graph_id} | self.schemas.public()

    def public_graph(self, xray: bool | int = False) -> dict[str, Any]:
        """Body of `GET /assistants/{A}/graph`: `xray` opens all subgraphs, or so many levels of them."""
        last = len(self.drawings) - 1
        return self.drawings[last if xray is True else min(int(xray), last)]

    def public_subgraphs(self, namespace: str | None = None, recurse: bool = False) -> dict[str, Any]:
        """Body of `GET /assistants/{A}/subgraphs[/{namespace}]`. Nested ones only with `recurse`."""
        return {
            name: schemas.public()
            for name, schemas in self.subgraphs.items()
            if (recurse or "|" not in name) and namespace in (None, name)
        }


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
        self, graph_id: str, config: RunnableConfig, access: Access, context: Mapping[str, Any] | None = None
    ) -> AbstractAsyncContextManager[Graph]:
        """The compiled graph, with whatever its factory holds open for it; see `attached` before executing it.

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


def attached(graph: Graph, checkpointer: BaseCheckpointSaver[Any] | None, store: BaseStore | None = None) -> Graph:
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
