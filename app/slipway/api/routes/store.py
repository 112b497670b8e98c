"""Routes of the long-term store (docs/store-crons-webhooks.md)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from langgraph.store.base import NOT_PROVIDED, InvalidNamespaceError
from starlette.requests import Request
from starlette.responses import Response

from slipway.access.handler_values.base import HandlerValue
from slipway.access.handler_values.store import StoreDelete, StoreGet, StoreListNamespaces, StorePut, StoreSearch
from slipway.api.auth.access_check import authorize, requires
from slipway.api.bodies.store import ItemBody, ItemIdBody, ItemSearchBody, NamespacesBody, public_item
from slipway.api.endpoints import Endpoint, Query, bool_param
from slipway.api.request_parsing import query_flag, read_body
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.shared_objects import services_of
from slipway.errors import InvalidRequest, RefusedRequest, SlipwayError
from slipway.store.filters import with_access_filter


async def put(request: Request) -> Response:
    body = await read_body(request, ItemBody)
    request_value = StorePut.model_construct(
        namespace=_non_empty(body.namespace), key=body.key, value=body.value, index=body.index, ttl=body.ttl
    )
    value, _ = await authorize(request, request_value)
    ttl = NOT_PROVIDED if value.ttl is None else value.ttl
    try:
        await services_of(request).store.aput(value.namespace, value.key, value.value, value.index, ttl=ttl)
    except (InvalidNamespaceError, RefusedRequest, InvalidRequest) as error:
        raise _store_error(request_value, value, error) from None
    return empty_response()


async def get(request: Request) -> Response:
    """The item, or null if it does not exist."""
    query = request.query_params
    if not query.get("key"):
        raise RefusedRequest("key is missing")
    namespace = [label for text in query.getlist("namespace") for label in text.split(".")]
    if not namespace or not all(namespace) or any("\0" in label for label in namespace):
        raise InvalidRequest("namespace", "must be labels joined by dots; a label must not be empty or contain NUL")
    refresh = query_flag(request, "refresh_ttl") if "refresh_ttl" in query else None
    request_value = StoreGet.model_construct(namespace=tuple(namespace), key=query["key"], refresh_ttl=refresh)
    value, _ = await authorize(request, request_value)
    try:
        item = await services_of(request).store.aget(value.namespace, value.key, refresh_ttl=value.refresh_ttl)
    except InvalidNamespaceError as error:
        if value != request_value:
            raise _store_error(request_value, value, error) from None
        raise InvalidRequest("namespace", str(error)) from None
    return JsonResponse(None if item is None else public_item(item))


async def delete(request: Request) -> Response:
    """Deletes an item. Deleting an item that does not exist is a success."""
    body = await read_body(request, ItemIdBody)
    value, _ = await authorize(request, StoreDelete.model_construct(namespace=_non_empty(body.namespace), key=body.key))
    await services_of(request).store.adelete(value.namespace, value.key)
    return empty_response()


async def search(request: Request) -> Response:
    body = await read_body(request, ItemSearchBody)
    request_value = StoreSearch.model_construct(
        namespace=tuple(body.namespace_prefix),
        filter=body.filter,
        limit=body.limit,
        offset=body.offset,
        query=body.query,
        refresh_ttl=body.refresh_ttl,
    )
    value, access_filter = await authorize(request, request_value)
    if access_filter.matches_nothing:
        return JsonResponse({"items": []})
    try:
        found = await services_of(request).store.asearch(
            value.namespace,
            query=value.query,
            filter=with_access_filter(value.filter, access_filter) or None,
            limit=value.limit,
            offset=value.offset,
            refresh_ttl=value.refresh_ttl,
        )
    except (RefusedRequest, InvalidRequest) as error:
        raise _store_error(request_value, value, error) from None
    return JsonResponse({"items": [public_item(item) for item in found]})


async def namespaces(request: Request) -> Response:
    body = await read_body(request, NamespacesBody)
    request_value = StoreListNamespaces.model_construct(
        namespace=tuple(body.prefix) or None,
        suffix=tuple(body.suffix) or None,
        max_depth=body.max_depth,
        limit=body.limit,
        offset=body.offset,
    )
    value, access_filter = await authorize(request, request_value)
    if access_filter.matches_nothing:
        return JsonResponse({"namespaces": []})
    found = await services_of(request).store.alist_namespaces(
        prefix=value.namespace,
        suffix=value.suffix,
        max_depth=value.max_depth,
        limit=value.limit,
        offset=value.offset,
    )
    return JsonResponse({"namespaces": [list(namespace) for namespace in found]})


def _store_error(request_value: HandlerValue, value: HandlerValue, error: Exception) -> SlipwayError:
    """The error for a value that the store rejects: of the client, or of the authorize handler if it changed the
    value."""
    if value != request_value:
        return request_value.handler_error(f"changed the value to one that the store rejects: {error}")
    return error if isinstance(error, SlipwayError) else RefusedRequest(str(error))


def _non_empty(namespace: Sequence[str]) -> tuple[str, ...]:
    if not namespace:
        raise RefusedRequest("namespace must have at least one label")
    return tuple(namespace)


_ITEMS: Final = "/store/items"
_DOTTED: Final = Query("namespace", {"type": "string"}, "The labels, joined by dots")
_KEY: Final = Query("key", {"type": "string"})

ENDPOINTS: Final = (
    Endpoint(
        "PUT",
        _ITEMS,
        put,
        "Store an item",
        requires("store:put"),
        body=ItemBody,
        media_type="",
        status=204,
        stores=True,
    ),
    Endpoint(
        "GET",
        _ITEMS,
        get,
        "Read an item; null if it does not exist",
        requires("store:get"),
        query=(_DOTTED, _KEY, bool_param("refresh_ttl", "Whether its time to live starts again")),
    ),
    Endpoint(
        "DELETE",
        _ITEMS,
        delete,
        "Delete an item",
        requires("store:delete"),
        body=ItemIdBody,
        media_type="",
        status=204,
    ),
    Endpoint("POST", f"{_ITEMS}/search", search, "Search items", requires("store:search"), body=ItemSearchBody),
    Endpoint(
        "POST",
        "/store/namespaces",
        namespaces,
        "List namespaces",
        requires("store:list_namespaces"),
        body=NamespacesBody,
    ),
)
