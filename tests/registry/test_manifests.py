"""Manifests: names, schemas, drawings, state types and fingerprints of graphs."""

from __future__ import annotations

import json
import sys

from slipway.graphs.manifest import Manifest
from tests.registry.conftest import SIMPLE, Project

NESTED = """
from dataclasses import dataclass
from typing import Annotated
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.types import Command, Send

@dataclass
class Context:
    tone: str = "plain"

class State(MessagesState):
    topic: str

def step(state: State) -> dict:
    return {}

def choose(state: State) -> str:
    return "b"

def nested(name, inner=None):
    builder = StateGraph(State).add_node("leaf", step).add_edge(START, "leaf")
    if inner is not None:
        builder.add_node("inner", inner).add_edge("leaf", "inner")
    return builder.compile(name=name)

graph = (
    StateGraph(State, context_schema=Context)
    .add_node("a", step).add_node("b", step).add_node("child", nested("middle", nested("lowest")))
    .add_edge(START, "a").add_conditional_edges("a", choose, {"b": "b", "c": "child"}).add_edge(["a", "b"], "child")
    .compile(name="Chief")
)
"""

MODELS = """
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Callable, Literal, NamedTuple, NewType, Optional
from typing_extensions import TypedDict
import operator
from langgraph.graph import START, StateGraph
from pydantic import BaseModel

class Colour(Enum):
    RED = 1

class Point(NamedTuple):
    x: int

@dataclass
class Note:
    text: str
    parent: "Optional[Note]" = None

class Shape(BaseModel):
    colour: Colour

class Circle(Shape):
    centre: Point

class Extra(TypedDict, total=False):
    note: Note

Label = NewType("Label", str)

class State(BaseModel):
    question: str
    kind: Literal["a", "b"] = "a"
    shapes: Annotated[list[Shape], operator.add] = []
    extra: dict[str, Extra] | None = None
    label: Label = Label("x")

class Plain: ...

class Private(TypedDict):
    hidden: "Plain"
    number: int

def step(state: State) -> dict:
    return {}

def more(state: Private) -> dict:
    return {}

graph = StateGraph(State).add_node("step", step).add_node("more", more).add_edge(START, "step").compile()
untyped = StateGraph(Private).add_node("more", more).add_edge(START, "more").compile()
"""

FLOW = """
from __future__ import annotations
from dataclasses import dataclass
from langgraph.func import entrypoint, task

@dataclass
class Result:
    text: str

@dataclass
class Query:
    text: str

@task
def search(query: Query) -> list[Result]:
    return []

@entrypoint()
def flow(query: Query) -> str:
    return ""
"""


async def manifest(project: Project, text: str, attribute: str = "graph") -> Manifest:
    """The manifest of the graph in a module with this text. Its public forms can be encoded as JSON."""
    project.write("described.py", text)
    registry = await project.load({"described": {"path": f"./described.py:{attribute}", "description": "A graph"}})
    assert registry.failures() == {}
    loaded = await registry.manifest("described")
    json.dumps([loaded.public_schemas(), loaded.public_graph(), loaded.public_subgraphs(recurse=True)])
    return loaded


async def test_a_manifest_has_name_description_version_and_nodes(project: Project) -> None:
    nested = await manifest(project, NESTED)
    assert (nested.name, nested.description) == ("Chief", "A graph")
    assert nested.nodes == ("a", "b", "child")


async def test_a_graph_without_a_name_is_named_by_its_id(project: Project) -> None:
    unnamed = await manifest(project, SIMPLE)
    assert unnamed.name == "described"
    titles = {name: (getattr(unnamed.schemas, name) or {})["title"] for name in ("input", "output", "state")}
    has_class_title = sys.version_info >= (3, 12)  # from Python 3.12 on, pydantic uses the name of a `typing.TypedDict`
    class_titles = {"input": "State", "output": "State"}
    graph_titles = {"input": "described_input", "output": "described_output"}
    expected = class_titles if has_class_title else graph_titles
    assert titles == {**expected, "state": "described_state"}


async def test_a_messages_state_has_schemas(project: Project) -> None:
    schemas = (await manifest(project, NESTED)).public_schemas()
    assert list(schemas) == [
        *("graph_id", "input_schema", "output_schema", "state_schema", "config_schema", "context_schema")
    ]
    for name in ("input", "output", "state"):
        assert set(schemas[f"{name}_schema"]["properties"]) == {"messages", "topic"}
    assert set(schemas["context_schema"]["properties"]) == {"tone"}
    assert schemas["config_schema"] == schemas["context_schema"]


async def test_a_model_state_has_schemas(project: Project) -> None:
    schemas = (await manifest(project, MODELS)).schemas
    assert schemas.input is not None
    assert schemas.input["required"] == ["question"]
    assert (schemas.config, schemas.context) == ({}, None)


async def test_a_type_without_a_schema_affects_only_its_field(project: Project) -> None:
    schemas = (await manifest(project, MODELS, "untyped")).schemas
    assert schemas.input is not None
    assert set(schemas.input["properties"]) == {"hidden", "number"}
    assert schemas.input["properties"]["number"].get("type") == "integer"


async def test_a_typed_dict_of_the_standard_library_can_be_the_context(project: Project) -> None:
    text = SIMPLE.replace("StateGraph(State)", "StateGraph(State, context_schema=State)")
    context = (await manifest(project, text)).schemas.context
    assert context is not None
    assert context["properties"]["text"]["type"] == "string"


async def test_a_graph_of_the_functional_api_has_schemas(project: Project) -> None:
    functional = await manifest(project, FLOW.replace("from __future__ import annotations\n", ""), "flow")
    assert functional.nodes == ("flow",)
    assert functional.schemas.input is not None
    assert functional.schemas.state == {"type": "string"}


async def test_subgraphs_are_listed_by_namespace(project: Project) -> None:
    nested = await manifest(project, NESTED)
    assert list(nested.public_subgraphs()) == ["child"]
    assert list(nested.public_subgraphs(recurse=True)) == ["child", "child|inner"]
    assert list(nested.public_subgraphs("child", recurse=True)) == ["child"]
    assert list(nested.public_subgraphs("child|inner", recurse=True)) == ["child|inner"]
    assert nested.public_subgraphs("chil") == {}
    assert set(nested.public_subgraphs()["child"]) == {
        *("input_schema", "output_schema", "state_schema", "config_schema", "context_schema")
    }


async def test_a_drawing_shows_as_many_levels_as_requested(project: Project) -> None:
    nested = await manifest(project, NESTED)

    def ids(xray: bool | int) -> set[str]:
        return {node["id"] for node in nested.public_graph(xray)["nodes"]} - {"__start__", "__end__"}

    assert ids(False) == {"a", "b", "child"}
    assert ids(1) == {"a", "b", "child:leaf", "child:inner"}
    assert ids(2) == ids(9) == ids(True) == {"a", "b", "child:leaf", "child:inner:leaf"}
    assert {"source": "a", "target": "b", "data": "b", "conditional": True} in [
        {"data": "b", **edge} for edge in nested.public_graph()["edges"]
    ]


async def test_a_drawing_names_no_classes(project: Project) -> None:
    nodes = {node["id"]: node for node in (await manifest(project, NESTED)).public_graph()["nodes"]}
    assert nodes["child"] == {"id": "child", "type": "runnable", "data": {"name": "child"}}


async def test_state_types_include_all_classes_inside_the_state(project: Project) -> None:
    project.write("models.py", MODELS)
    registry = await project.load({"model": "./models.py:graph"})
    names = {cls.__qualname__ for cls in registry.state_types() if cls.__module__ == "models"}
    assert names == {"Colour", "Point", "Note", "Shape", "Circle", "Extra", "State", "Private"}


async def test_state_types_include_those_of_subgraphs_and_tasks(project: Project) -> None:
    project.write("flow.py", FLOW)
    project.write(
        "parent.py", "import models\n" + SIMPLE.replace("compile()", "add_node('sub', models.graph).compile()")
    )
    project.write("models.py", MODELS)
    registry = await project.load({"flow": "./flow.py:flow", "parent": "./parent.py:graph"})
    assert registry.failures() == {}
    names = {(cls.__module__, cls.__qualname__) for cls in registry.state_types()}
    assert {("flow", "Result"), ("flow", "Query"), ("models", "Circle"), ("parent", "State")} <= names


async def test_state_types_of_a_factory_are_collected_when_it_is_opened(project: Project) -> None:
    project.write("factory.py", MODELS + "\ndef make():\n    return graph\n")
    registry = await project.load({"built": "./factory.py:make"})
    assert registry.state_types() == set()
    async with registry.open("built", {}, "threads.read"):
        assert "Circle" in {cls.__qualname__ for cls in registry.state_types()}
