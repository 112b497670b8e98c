"""Request bodies of the long-term store."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from slipway.access.handler_values.base import Label
from slipway.api.bodies.body import Body
from slipway.graphs.sections import Minutes, Whole
from slipway.protocol_types import JsonObject, Limit, Offset, says

ItemKey = Annotated[str, Field(min_length=1)]


class ItemPlaceBody(Body):
    """Which item."""

    namespace: list[Label]
    key: ItemKey


class ItemBody(ItemPlaceBody):
    """An item to be kept. `index` is false for one that is not to be found by meaning, or the paths to embed."""

    value: JsonObject
    index: Annotated[Literal[False] | list[str] | None, says("must be false, or a list of paths")] = None
    ttl: Minutes | None = None


class ItemSearchBody(Body):
    """A page of items below a namespace."""

    namespace_prefix: list[Label] = Field(default_factory=list)
    filter: JsonObject = Field(default_factory=dict)
    query: str | None = None
    limit: Limit = 10
    offset: Offset = 0
    refresh_ttl: bool | None = None


class NamespacesBody(Body):
    """A page of namespaces; `*` stands for any one label."""

    prefix: list[Label] = Field(default_factory=list)
    suffix: list[Label] = Field(default_factory=list)
    max_depth: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    limit: Limit = 100
    offset: Offset = 0


def shown(item: Any) -> JsonObject:
    """The protocol's item; `score` where it was looked for."""
    found: JsonObject = {
        "namespace": list(item.namespace),
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at.isoformat(timespec="microseconds"),
        "updated_at": item.updated_at.isoformat(timespec="microseconds"),
    }
    return found | ({"score": item.score} if hasattr(item, "score") else {})
