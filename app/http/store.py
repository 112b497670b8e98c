"""The long-term store: put, get, delete, search, list namespaces (protocol 2.8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from langgraph.store.base import NOT_PROVIDED, InvalidNamespaceError
from starlette.requests import Request
from starlette.responses import Response

from app.errors import InvalidRequest, RefusedRequest
from app.http.access import needs, permit
from app.http.answers import Json, nothing
from app.http.endpoints import Endpoint, Query, flag
from app.http.inputs import query_flag, read_body
from app.http.permits import told_namespace
from app.http.store_bodies import ItemBody, ItemPlaceBody, ItemSearchBody, NamespacesBody, shown
from app.http.wiring import services_of
from app.store_filters import both


async def put(request: Request) -> Response:
    """Keep an item."""
    body = await read_body(request, ItemBody)
    namespace = _some(body.namespace)
    ttl = NOT_PROVIDED if body.ttl is None else body.ttl
    told: dict[str, Any] = {"namespace": namespace, "key": body.key, "value": body.value, "index": body.index}
    await permit(request, "store:put", told)
    try:
        await services_of(request).store.aput(
            _some(told_namespace(told)), str(told["key"]), told["value"], told["index"], ttl=ttl
        )
    except InvalidNamespaceError as error:
        raise RefusedRequest(str(error)) from None
    return nothing()


async def get(request: Request) -> Response:
    """One item, or null."""
    query = request.query_params
    if not query.get("key"):
        raise RefusedRequest("key is missing")
    namespace = [label for text in query.getlist("namespace") for label in text.split(".")]
    if not namespace or not all(namespace) or any("\0" in label for label in namespace):
        raise InvalidRequest("namespace", "must be labels joined by dots, none of them empty or with a NUL")
    refresh = query_flag(request, "refresh_ttl") if "refresh_ttl" in query else None
    told: dict[str, Any] = {"namespace": tuple(namespace), "key": query["key"]}
    await permit(request, "store:get", told)
    try:
        item = await services_of(request).store.aget(_some(told_namespace(told)), str(told["key"]), refresh_ttl=refresh)
    except InvalidNamespaceError as error:
        raise InvalidRequest("namespace", str(error)) from None
    return Json(None if item is None else shown(item))


async def delete(request: Request) -> Response:
    """Remove an item, if it is there."""
    body = await read_body(request, ItemPlaceBody)
    told: dict[str, Any] = {"namespace": _some(body.namespace), "key": body.key}
    await permit(request, "store:delete", told)
    await services_of(request).store.adelete(_some(told_namespace(told)), str(told["key"]))
    return nothing()


async def search(request: Request) -> Response:
    """A page of items."""
    body = await read_body(request, ItemSearchBody)
    told: dict[str, Any] = {
        "namespace": tuple(body.namespace_prefix),
        "filter": body.filter,
        "limit": body.limit,
        "offset": body.offset,
        "query": body.query,
    }
    only = await permit(request, "store:search", told)
    found = await services_of(request).store.asearch(
        told_namespace(told),
        query=told["query"],
        filter=both(told["filter"] or {}, only) or None,
        limit=told["limit"],
        offset=told["offset"],
        refresh_ttl=body.refresh_ttl,
    )
    return Json({"items": [shown(item) for item in found]})


async def namespaces(request: Request) -> Response:
    """A page of namespaces."""
    body = await read_body(request, NamespacesBody)
    told: dict[str, Any] = {
        "namespace": tuple(body.prefix),
        "suffix": tuple(body.suffix),
        "max_depth": body.max_depth,
        "limit": body.limit,
        "offset": body.offset,
    }
    await permit(request, "store:list_namespaces", told)
    found = await services_of(request).store.alist_namespaces(
        prefix=told_namespace(told) or None,
        suffix=tuple(told["suffix"] or ()) or None,
        max_depth=told["max_depth"],
        limit=told["limit"],
        offset=told["offset"],
    )
    return Json({"namespaces": [list(namespace) for namespace in found]})


def _some(namespace: Sequence[str]) -> tuple[str, ...]:
    if not namespace:
        raise RefusedRequest("namespace must have at least one label")
    return tuple(namespace)


_ITEMS: Final = "/store/items"
_DOTTED: Final = Query("namespace", {"type": "string"}, "The labels, joined by dots")
_KEY: Final = Query("key", {"type": "string"})

ENDPOINTS: Final = (
    Endpoint("PUT", _ITEMS, put, "Keep an item", needs("store:put"), body=ItemBody, answers="", status=204),
    Endpoint(
        "GET",
        _ITEMS,
        get,
        "One item, or null",
        needs("store:get"),
        query=(_DOTTED, _KEY, flag("refresh_ttl", "Whether its time begins anew")),
    ),
    Endpoint(
        "DELETE", _ITEMS, delete, "Remove an item", needs("store:delete"), body=ItemPlaceBody, answers="", status=204
    ),
    Endpoint("POST", f"{_ITEMS}/search", search, "A page of items", needs("store:search"), body=ItemSearchBody),
    Endpoint(
        "POST",
        "/store/namespaces",
        namespaces,
        "A page of namespaces",
        needs("store:list_namespaces"),
        body=NamespacesBody,
    ),
)
