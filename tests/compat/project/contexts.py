"""Graphs that show which context they were given, one for each kind of schema."""

from dataclasses import dataclass, field
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph_sdk.runtime import ServerRuntime
from pydantic import BaseModel, ConfigDict, Field


class Inner(BaseModel):
    """A field's own fields."""

    depth: int = 1


@dataclass
class Data:
    """Defaults for everything."""

    model: str = "small"
    inner: Inner = field(default_factory=Inner)


@dataclass
class NeedsData:
    """One field has no default."""

    model: str


class Model(BaseModel):
    """Defaults for everything, and a field that has another name outside."""

    model_config = ConfigDict(populate_by_name=True)

    model: str = "small"
    inner: Inner = Inner()
    size: int = Field(1, alias="modelSize")


class Strict(BaseModel):
    """One field has no default, and unknown ones are an error."""

    model_config = ConfigDict(extra="forbid")

    model: str


class Keys(TypedDict, total=False):
    """Keys that may be there."""

    model: str


class Shown(TypedDict, total=False):
    """What the nodes found."""

    context: str
    inside: str
    factory: str


def show(state: Shown, runtime: Runtime[Any]) -> Shown:
    """Writes the context into the state."""
    return {"context": repr(runtime.context)}


def show_inside(state: Shown, runtime: Runtime[Any]) -> Shown:
    """The same for a graph inside another."""
    return {"inside": repr(runtime.context)}


def _showing(schema: type | None) -> "CompiledStateGraph[Any, Any, Any, Any]":
    inside = StateGraph(Shown, context_schema=schema).add_node("inside", show_inside).add_edge(START, "inside")
    graph = StateGraph(Shown, context_schema=schema).add_node("show", show).add_node("child", inside.compile())
    return graph.add_edge(START, "show").add_edge("show", "child").compile()


none, data, needs_data = _showing(None), _showing(Data), _showing(NeedsData)
model, strict, keys = _showing(Model), _showing(Strict), _showing(Keys)


def declared(runtime: ServerRuntime[NeedsData]) -> Any:
    """A factory that declares the class of its context."""
    run = runtime.execution_runtime
    given = None if run is None else repr(run.context)

    def tell(state: Shown) -> Shown:
        return {"factory": str(given)}

    return StateGraph(Shown, context_schema=NeedsData).add_node("tell", tell).add_edge(START, "tell").compile()


def undeclared(runtime: ServerRuntime) -> Any:  # type: ignore[type-arg]  # the form that needs no class
    """A factory that does not."""
    run = runtime.execution_runtime
    given = None if run is None else repr(run.context)

    def tell(state: Shown) -> Shown:
        return {"factory": str(given)}

    return StateGraph(Shown).add_node("tell", tell).add_edge(START, "tell").compile()
