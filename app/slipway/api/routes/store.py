"""The long-term store: put, get, delete, search, list namespaces (protocol 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langgraph.store.base import NOT_PROVIDED, InvalidNamespaceError
from starlette.requests import Request
from starlette.responses import Response

from slipway.access.handler_values.base import HandlerValue
from slipway.access.handler_values.store import StoreDelete, StoreGet, StoreListNamespaces, StorePut, StoreSearch
from slipway.api.auth.access_check import authorize, requires
from slipway.api.bodies.store import ItemBody, ItemPlaceBody, ItemSearchBody, NamespacesBody, shown
from slipway.api.endpoints import Endpoint, Query, bool_param
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import query_flag, read_body
from slipway.api.responses import JsonResponse, empty_response
from slipway.errors import InvalidRequest, RefusedRequest, SlipwayError
from slipway.store.filters import with_access_filter


async def put(request: Request) -> Response:
    """Keep an item."""
    body = await read_body(request, ItemBody)
    wanted = StorePut.model_construct(
        namespace=_some(body.namespace), key=body.key, value=body.value, index=body.index, ttl=body.ttl
    )
    value, _ = await authorize(request, wanted)
    ttl = NOT_PROVIDED if value.ttl is None else value.ttl
    try:
        await services_of(request).store.aput(value.namespace, value.key, value.value, value.index, ttl=ttl)
    except (InvalidNamespaceError, RefusedRequest, InvalidRequest) as error:
        raise _refused(wanted, value, error) from None
    return empty_response()


async def get(request: Request) -> Response:
    """One item, or null."""
    query = request.query_params
    if not query.get("key"):
        raise RefusedRequest("key is missing")
    namespace = [label for text in query.getlist("namespace") for label in text.split(".")]
    if not namespace or not all(namespace) or any("\0" in label for label in namespace):
        raise InvalidRequest("namespace", "must be labels joined by dots, none of them empty or with a NUL")
    refresh = query_flag(request, "refresh_ttl") if "refresh_ttl" in query else None
    wanted = StoreGet.model_construct(namespace=tuple(namespace), key=query["key"], refresh_ttl=refresh)
    value, _ = await authorize(request, wanted)
    try:
        item = await services_of(request).store.aget(value.namespace, value.key, refresh_ttl=value.refresh_ttl)
    except InvalidNamespaceError as error:
        if value != wanted:
            raise _refused(wanted, value, error) from None
        raise InvalidRequest("namespace", str(error)) from None
    return JsonResponse(None if item is None else shown(item))


async def delete(request: Request) -> Response:
    """Remove an item, if it is there."""
    body = await read_body(request, ItemPlaceBody)
    value, _ = await authorize(request, StoreDelete.model_construct(namespace=_some(body.namespace), key=body.key))
    await services_of(request).store.adelete(value.namespace, value.key)
    return empty_response()


async def search(request: Request) -> Response:
    """A page of items."""
    body = await read_body(request, ItemSearchBody)
    wanted = StoreSearch.model_construct(
        namespace=tuple(body.namespace_prefix),
        filter=body.filter,
        limit=body.limit,
        offset=body.offset,
        query=body.query,
        refresh_ttl=body.refresh_ttl,
    )
    value, only = await authorize(request, wanted)
    try:
        found = await services_of(request).store.asearch(
            value.namespace,
            query=value.query,
            filter=with_access_filter(value.filter, only) or None,
            limit=value.limit,
            offset=value.offset,
            refresh_ttl=value.refresh_ttl,
        )
    except (RefusedRequest, InvalidRequest) as error:
        raise _refused(wanted, value, error) from None
    return JsonResponse({"items": [shown(item) for item in found]})


async def namespaces(request: Request) -> Response:
    """A page of namespaces."""
    body = await read_body(request, NamespacesBody)
    wanted = StoreListNamespaces.model_construct(
        namespace=tuple(body.prefix) or None,
        suffix=tuple(body.suffix) or None,
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    value, _ = await authorize(request, wanted)
    found = await services_of(request).store.alist_namespaces(
        prefix=value.namespace,
        suffix=value.suffix,
        max_depth=value.max_depth,
        limit=value.limit,
        offset=value.offset,
    )
    return JsonResponse({"namespaces": [list(namespace) for namespace in found]})


def _refused(wanted: HandlerValue, left: HandlerValue, error: Exception) -> SlipwayError:
    """The client's fault, unless a handler has changed the value."""
    if left != wanted:
        return wanted.handler_error(f"left what the store refuses: {error}")
    return error if isinstance(error, SlipwayError) else RefusedRequest(str(error))


def _some(namespace: Sequence[str]) -> tuple[str, ...]:
    if not namespace:
        raise RefusedRequest("namespace must have at least one label")
    return tuple(namespace)


_ITEMS: Final = "/store/items"
_DOTTED: Final = Query("namespace", {"type": "string"}, "The labels, joined by dots")
_KEY: Final = Query("key", {"type": "string"})

ENDPOINTS: Final = (
    Endpoint("PUT", _ITEMS, put, "Keep an item", requires("store:put"), body=ItemBody, media_type="", status=204),
    Endpoint(
        "GET",
        _ITEMS,
        get,
        "One item, or null",
        requires("store:get"),
        query=(_DOTTED, _KEY, bool_param("refresh_ttl", "Whether its time begins anew")),
    ),
    Endpoint(
        "DELETE",
        _ITEMS,
        delete,
        "Remove an item",
        requires("store:delete"),
        body=ItemPlaceBody,
        media_type="",
        status=204,
    ),
    Endpoint("POST", f"{_ITEMS}/search", search, "A page of items", requires("store:search"), body=ItemSearchBody),
    Endpoint(
        "POST",
        "/store/namespaces",
        namespaces,
        "A page of namespaces",
        requires("store:list_namespaces"),
        body=NamespacesBody,
    ),
)
