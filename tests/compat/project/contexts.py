"""Graphs that return the context they received, one for each kind of context schema."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel, ConfigDict, Field


class Inner(BaseModel):
    depth: int = 1


@dataclass
class Data:
    """All fields have defaults."""

    model: str = "small"
    inner: Inner = field(default_factory=Inner)


@dataclass
class RequiredData:
    """A field is required."""

    model: str


class Model(BaseModel):
    """All fields have defaults, and one has an alias."""

    model_config = ConfigDict(populate_by_name=True)

    model: str = "small"
    inner: Inner = Inner()
    size: int = Field(1, alias="modelSize")


class Strict(BaseModel):
    """A field is required, and unknown fields are rejected."""

    model_config = ConfigDict(extra="forbid")

    model: str


class Keys(TypedDict, total=False):
    """The key is optional."""

    model: str


class ReceivedContext(TypedDict, total=False):
    """The context as the node, the node of the subgraph, and the factory received it."""

    context: str
    subgraph: str
    factory: str


def show(state: ReceivedContext, runtime: Runtime[Any]) -> ReceivedContext:
    return {"context": repr(runtime.context)}


def show_in_subgraph(state: ReceivedContext, runtime: Runtime[Any]) -> ReceivedContext:
    return {"subgraph": repr(runtime.context)}


def _with_context(schema: type | None) -> "CompiledStateGraph[Any, Any, Any, Any]":
    subgraph = StateGraph(ReceivedContext, context_schema=schema).add_node("show", show_in_subgraph)
    subgraph.add_edge(START, "show")
    graph = (
        StateGraph(ReceivedContext, context_schema=schema).add_node("show", show).add_node("child", subgraph.compile())
    )
    return graph.add_edge(START, "show").add_edge("show", "child").compile()


none, data, required_data = _with_context(None), _with_context(Data), _with_context(RequiredData)
model, strict, keys = _with_context(Model), _with_context(Strict), _with_context(Keys)


def declared(runtime: ServerRuntime[RequiredData]) -> Any:
    """A factory whose annotation has the class of its context."""
    run = runtime.execution_runtime
    context = None if run is None else repr(run.context)

    def show_context(state: ReceivedContext) -> ReceivedContext:
        return {"factory": str(context)}

    return (
        StateGraph(ReceivedContext, context_schema=RequiredData)
        .add_node("show", show_context)
        .add_edge(START, "show")
        .compile()
    )


def undeclared(runtime: ServerRuntime) -> Any:  # type: ignore[type-arg]  # the class may be omitted
    """A factory whose annotation has no class for its context."""
    run = runtime.execution_runtime
    context = None if run is None else repr(run.context)

    def show_context(state: ReceivedContext) -> ReceivedContext:
        return {"factory": str(context)}

    return StateGraph(ReceivedContext).add_node("show", show_context).add_edge(START, "show").compile()
