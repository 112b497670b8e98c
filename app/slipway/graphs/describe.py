"""Describing a compiled graph in plain JSON data.

Nothing in here fails because of a graph: a schema that cannot be made is None, a drawing that cannot be made shows
the nodes alone. It is pure computing, some milliseconds a graph: keep it off the event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import orjson
from langgraph.channels.base import BaseChannel
from langgraph.pregel import Pregel
from pydantic import BaseModel, TypeAdapter, create_model

from slipway.graphs.annotations import fields_of, is_record
from slipway.graphs.fingerprint import channels, fingerprint
from slipway.graphs.manifest import JsonSchema, Manifest, Schemas
from slipway.graphs.served_graphs import Graph
from slipway.graphs.spec import GraphSpec

UNNAMED = "LangGraph"
"""What LangGraph calls a graph that was compiled without a name."""

START_NODE = "__start__"


def manifest_of(graph: Graph, spec: GraphSpec) -> Manifest:
    """Everything about `graph` that can be shown or compared."""
    subgraphs = {name: sub for name, sub in graph.get_subgraphs(recurse=True) if isinstance(sub, Pregel)}
    levels = max((name.count("|") + 1 for name in subgraphs), default=0)
    return Manifest(
        graph_id=spec.graph_id,
        name=name_of(graph, spec.graph_id),
        description=spec.description,
        version=spec.version,
        nodes=tuple(name for name in graph.nodes if name != START_NODE),
        schemas=schemas_of(_named(graph, spec.graph_id)),
        drawings=tuple(_drawing(graph, level) for level in range(levels + 1)),
        subgraphs={name: schemas_of(sub) for name, sub in subgraphs.items()},
        channels=channels(graph),
        fingerprint=fingerprint(graph),
    )


def name_of(graph: Graph, graph_id: str) -> str:
    """What the graph is called where people see it: its own name, or its id when it was given none."""
    return graph_id if graph.name == UNNAMED else graph.name


def _named(graph: Graph, graph_id: str) -> Graph:
    """The same graph under the name that people see: the titles of its schemas begin with it."""
    return graph.copy({"name": name_of(graph, graph_id)})


def schemas_of(graph: Graph) -> Schemas:
    """The protocol's five schemas. `config` is that of `config.configurable`, which mirrors the context."""
    context = _schema(graph.get_context_jsonschema) or _context_by_fields(graph)
    return Schemas(
        input=_schema(graph.get_input_jsonschema) or _fields(graph, "Input", _keys(graph, "input_schema")),
        output=_schema(graph.get_output_jsonschema) or _fields(graph, "Output", _keys(graph, "output_schema")),
        state=_state(graph),
        config={} if graph.context_schema is None else context,
        context=context,
    )


def _schema(make: Callable[[], JsonSchema | None]) -> JsonSchema | None:
    try:
        return cast("JsonSchema | None", _plain(make()))
    except Exception:  # pydantic refuses some types when building a model and others when describing it
        return None


def _state(graph: Graph) -> JsonSchema | None:
    """All channels that a state shows. The functional API has a single, unnamed one: what was returned last."""
    shown = graph.stream_channels_asis
    if isinstance(shown, str):
        channel = graph.channels[shown]
        return _schema(lambda: TypeAdapter(cast(BaseChannel[Any, Any, Any], channel).ValueType).json_schema())
    return _fields(graph, "State", shown)


def _keys(graph: Graph, which: str) -> list[str]:
    """Channels of one of a state graph's schemas; none for a graph that was made another way."""
    builder = getattr(graph, "builder", None)
    return [] if builder is None else list(builder.schemas.get(getattr(builder, which), {}))


def _fields(graph: Graph, suffix: str, keys: Iterable[str]) -> JsonSchema | None:
    """A schema put together channel by channel, so that a type without a schema costs one field and not the whole."""
    fields: dict[str, Any] = {}
    for key in keys:
        channel = graph.channels.get(key)
        if isinstance(channel, BaseChannel):
            fields[key] = (_describable(channel.UpdateType), None)
    return _schema(lambda: create_model(graph.get_name(suffix), **fields).model_json_schema()) if fields else None


def _context_by_fields(graph: Graph) -> JsonSchema | None:
    """Before Python 3.12 pydantic refuses a `typing.TypedDict`, though it can describe each of its fields."""
    schema: object = graph.context_schema
    if not isinstance(schema, type) or not is_record(schema):
        return None
    fields: dict[str, Any] = {name: (_describable(kind), None) for name, kind in fields_of(schema).items()}
    return _schema(lambda: create_model(schema.__name__, **fields).model_json_schema())


def _describable(annotation: Any) -> Any:
    return annotation if _schema(lambda: TypeAdapter(annotation).json_schema()) is not None else Any


def _drawing(graph: Graph, levels: int) -> dict[str, Any]:
    """Nodes and edges, with so many levels of subgraphs opened."""
    try:
        drawing = cast(dict[str, Any], _plain(graph.get_graph(xray=levels or False).to_json()))
        for node in drawing["nodes"]:
            if isinstance(data := node.get("data"), dict):
                data.pop("id", None)  # the Python class that executes the node, which is nothing to show
        return drawing
    except Exception:  # drawing makes models of the input and output, and runs the author's path maps
        nodes = [{"id": name, "type": "runnable", "data": {"name": name}} for name in graph.nodes]
        return {"nodes": nodes, "edges": []}


def _plain(value: Any) -> Any:
    """Through JSON and back: nothing of the author's own objects stays, and no `default` can break a response."""
    return orjson.loads(orjson.dumps(value, default=_as_json, option=orjson.OPT_NON_STR_KEYS))


def _as_json(value: object) -> object:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
