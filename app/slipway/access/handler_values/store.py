"""Handler values of operations on the long-term store."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from slipway.access.handler_values.base import HandlerValue, Metadata, Namespace
from slipway.graphs.official_sections import Minutes, Whole
from slipway.protocol_types import JsonObject, Limit, Offset


class StorePut(HandlerValue):
    """An item is stored. `ttl` is in minutes."""

    OPERATION = "store:put"

    namespace: Annotated[Namespace, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]
    value: JsonObject
    index: Literal[False] | list[str] | None
    ttl: Minutes | None = None


class StoreGet(HandlerValue):
    OPERATION = "store:get"

    namespace: Annotated[Namespace, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]
    refresh_ttl: bool | None = None


class StoreDelete(HandlerValue):
    OPERATION = "store:delete"

    namespace: Annotated[Namespace, Field(min_length=1)]
    key: Annotated[str, Field(min_length=1)]


class StoreSearch(HandlerValue):
    """Items below a namespace are searched."""

    OPERATION = "store:search"

    namespace: Namespace
    filter: Metadata
    limit: Limit
    offset: Offset
    query: str | None
    refresh_ttl: bool | None = None


def _none_if_empty(value: Any) -> Any:
    return value or None


class StoreListNamespaces(HandlerValue):
    """Namespaces that start with `namespace` and end with `suffix` are listed."""

    OPERATION = "store:list_namespaces"

    namespace: Annotated[Namespace | None, BeforeValidator(_none_if_empty)]
    suffix: Annotated[Namespace | None, BeforeValidator(_none_if_empty)]
    max_depth: Annotated[Whole, Field(ge=1, le=1000)] | None
    limit: Limit
    offset: Offset
