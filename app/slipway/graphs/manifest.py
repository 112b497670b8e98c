"""A compiled graph described as plain JSON data, so that it can be shown and compared without its code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

JsonSchema: TypeAlias = dict[str, Any]


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
