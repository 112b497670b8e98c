"""The description of a compiled graph as JSON data. It can be displayed and compared without the graph's code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

JsonSchema: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON schemas of one graph. None if the type cannot be described, or if the graph has no such schema."""

    input: JsonSchema | None
    output: JsonSchema | None
    state: JsonSchema | None
    config: JsonSchema | None
    context: JsonSchema | None

    def public(self) -> dict[str, JsonSchema | None]:
        """The members of `GET /assistants/{A}/schemas`."""
        return {
            "input_schema": self.input,
            "output_schema": self.output,
            "state_schema": self.state,
            "config_schema": self.config,
            "context_schema": self.context,
        }


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of one compiled graph."""

    graph_id: str
    name: str
    """The name that the graph was compiled with, or else the graph id."""
    description: str | None
    version: str
    """The name of its version."""
    nodes: tuple[str, ...]
    """In the order in which they were added, without the start node."""
    schemas: Schemas
    drawings: tuple[dict[str, Any], ...]
    """Nodes and edges. The drawing at index n expands n levels of subgraphs; the last one expands all levels."""
    subgraphs: dict[str, Schemas]
    """All subgraphs, also nested ones, by namespace (`parent|child`)."""

    def public_schemas(self) -> dict[str, Any]:
        """Body of `GET /assistants/{A}/schemas`."""
        return {"graph_id": self.graph_id} | self.schemas.public()

    def public_graph(self, xray: bool | int = False) -> dict[str, Any]:
        """Body of `GET /assistants/{A}/graph`. `xray`: True expands all subgraphs, a number that many levels of
        them."""
        last = len(self.drawings) - 1
        return self.drawings[last if xray is True else min(int(xray), last)]

    def public_subgraphs(self, namespace: str | None = None, recurse: bool = False) -> dict[str, Any]:
        """Body of `GET /assistants/{A}/subgraphs[/{namespace}]`. It contains nested subgraphs only with `recurse`."""
        return {
            name: schemas.public()
            for name, schemas in self.subgraphs.items()
            if (recurse or "|" not in name) and namespace in (None, name)
        }
