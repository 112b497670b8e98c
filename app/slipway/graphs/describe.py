"""Describes a compiled graph as a `Manifest`.

It never fails: a schema that cannot be built is None, and a drawing that cannot be built shows only the nodes. It takes
some milliseconds of CPU for each graph, so it must not run on the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import orjson
from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from pydantic import BaseModel, TypeAdapter, create_model

from slipway.graphs.annotations import fields_of, is_record
from slipway.graphs.interface import Graph
from slipway.graphs.manifest import JsonSchema, Manifest, Schemas
from slipway.graphs.spec import GraphSpec

UNNAMED = "LangGraph"
"""The name that LangGraph gives to a graph that was compiled without one."""

START_NODE = "__start__"


def manifest_of(graph: Graph, spec: GraphSpec, version: str) -> Manifest:
    subgraphs = {name: sub for name, sub in graph.get_subgraphs(recurse=True) if isinstance(sub, Pregel)}
    levels = max((name.count("|") + 1 for name in subgraphs), default=0)
    return Manifest(
        graph_id=spec.graph_id,
        name=name_of(graph, spec.graph_id),
        description=spec.description,
        version=version,
        nodes=tuple(name for name in graph.nodes if name != START_NODE),
        schemas=schemas_of(_named(graph, spec.graph_id)),
        drawings=tuple(_drawing(graph, level) for level in range(levels + 1)),
        subgraphs={name: schemas_of(sub) for name, sub in subgraphs.items()},
    )


def name_of(graph: Graph, graph_id: str) -> str:
    """The name to display: the name that the graph was compiled with, or else its id."""
    return graph_id if graph.name == UNNAMED else graph.name


def _named(graph: Graph, graph_id: str) -> Graph:
    """A copy of the graph with the displayed name: the titles of its schemas begin with the name of the graph."""
    return graph.copy({"name": name_of(graph, graph_id)})


def schemas_of(graph: Graph) -> Schemas:
    """The protocol's five schemas. `config` is the schema of `config.configurable`, which mirrors the context."""
    context = _schema(graph.get_context_jsonschema) or _context_by_fields(graph)
    return Schemas(
        input=_schema(graph.get_input_jsonschema) or _fields(graph, "Input", _keys(graph, "input_schema")),
        output=_schema(graph.get_output_jsonschema) or _fields(graph, "Output", _keys(graph, "output_schema")),
        state=_state(graph),
        config={} if graph.context_schema is None else context,
        context=context,
    )


def _schema(build_schema: Callable[[], JsonSchema | None]) -> JsonSchema | None:
    try:
        return cast("JsonSchema | None", _without_project_objects(build_schema()))
    except Exception:  # pydantic rejects some types when it builds a model, and others when it builds the schema
        return None


def _state(graph: Graph) -> JsonSchema | None:
    """The schema of all state channels. A graph of the functional API has one unnamed channel: its last result."""
    shown = graph.stream_channels_asis
    if isinstance(shown, str):
        channel = graph.channels[shown]
        return _schema(lambda: TypeAdapter(cast(BaseChannel[Any, Any, Any], channel).ValueType).json_schema())
    return _fields(graph, "State", shown)


def _keys(graph: Graph, which: str) -> list[str]:
    """The channels of one schema of a state graph. Other graphs have no such schema, so the list is empty."""
    builder = getattr(graph, "builder", None)
    return [] if builder is None else list(builder.schemas.get(getattr(builder, which), {}))


def _fields(graph: Graph, suffix: str, keys: Iterable[str]) -> JsonSchema | None:
    """A schema that is built channel by channel: a channel whose type cannot be described becomes `Any`, and the others
    keep their types."""
    fields: dict[str, Any] = {}
    for key in keys:
        channel = graph.channels.get(key)
        if isinstance(channel, BaseChannel):
            fields[key] = (_describable(channel.UpdateType), None)
    return _schema(lambda: create_model(graph.get_name(suffix), **fields).model_json_schema()) if fields else None


def _context_by_fields(graph: Graph) -> JsonSchema | None:
    """The schema of the context, built field by field: before Python 3.12, pydantic rejects a `typing.TypedDict`, but
    it can describe each of its fields."""
    schema: object = graph.context_schema
    if not isinstance(schema, type) or not is_record(schema):
        return None
    fields: dict[str, Any] = {name: (_describable(kind), None) for name, kind in fields_of(schema).items()}
    return _schema(lambda: create_model(schema.__name__, **fields).model_json_schema())


def _describable(annotation: Any) -> Any:
    return annotation if _schema(lambda: TypeAdapter(annotation).json_schema()) is not None else Any


def _drawing(graph: Graph, levels: int) -> dict[str, Any]:
    """Nodes and edges, with `levels` levels of subgraphs expanded."""
    try:
        drawing = cast(dict[str, Any], _without_project_objects(graph.get_graph(xray=levels or False).to_json()))
        for node in drawing["nodes"]:
            if isinstance(data := node.get("data"), dict):
                data.pop("id", None)  # the Python class that executes the node, which the protocol does not have
        return drawing
    except Exception:  # drawing builds models of the input and output, and calls functions of the project
        nodes = [{"id": name, "type": "runnable", "data": {"name": name}} for name in graph.nodes]
        return {"nodes": nodes, "edges": []}


def _without_project_objects(value: Any) -> Any:
    """`value` encoded as JSON and decoded again, so that it contains no object of the project that a response could not
    encode."""
    return orjson.loads(orjson.dumps(value, default=_json_or_text, option=orjson.OPT_NON_STR_KEYS))


def _json_or_text(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
