"""Request bodies of the long-term store."""

from __future__ import annotations

from typing import Annotated, Literal

from langgraph.store.base import Item, SearchItem
from pydantic import Field

from slipway.access.handler_values.base import Label
from slipway.api.bodies.body import Body
from slipway.graphs.official_sections import Minutes, Whole
from slipway.protocol_types import JsonObject, Limit, Offset, one_error

KeyText = Annotated[str, Field(min_length=1)]


class ItemIdBody(Body):
    namespace: list[Label]
    key: KeyText


class ItemBody(ItemIdBody):
    """Stores an item. `index` has the paths to embed for searches by semantic similarity; false excludes the
    item from these searches."""

    value: JsonObject
    index: Annotated[Literal[False] | list[str] | None, one_error("must be false, or a list of paths")] = None
    ttl: Minutes | None = None


class ItemSearchBody(Body):
    """Searches a page of items below a namespace."""

    namespace_prefix: list[Label] = Field(default_factory=list)
    filter: JsonObject = Field(default_factory=dict)
    query: str | None = None
    limit: Limit = 10
    offset: Offset = 0
    refresh_ttl: bool | None = None


class NamespacesBody(Body):
    """Lists a page of namespaces. `*` matches any one label."""

    prefix: list[Label] = Field(default_factory=list)
    suffix: list[Label] = Field(default_factory=list)
    max_depth: Annotated[Whole, Field(ge=1, le=1000)] | None = None
    limit: Limit = 100
    offset: Offset = 0


def public_item(item: Item | SearchItem) -> JsonObject:
    """The protocol's item. Results of a search have `score`."""
    members: JsonObject = {
        "namespace": list(item.namespace),
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at.isoformat(timespec="microseconds"),
        "updated_at": item.updated_at.isoformat(timespec="microseconds"),
    }
    return members | ({"score": item.score} if isinstance(item, SearchItem) else {})
