"""Threads: create, read, change, delete, search, count."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.errors import InvalidRequest, RefusedRequest
from app.extracts import extracted
from app.http.answers import Json, nothing
from app.http.bodies import PruneBody, ThreadBody, ThreadFilterBody, ThreadPatchBody, ThreadSearchBody
from app.http.endpoints import Endpoint, names
from app.http.inputs import ident_of, path_id, query_names, read_body, read_optional_body
from app.http.pages import paged, selected
from app.http.wiring import services_of
from app.states import update_of
from app.threads import Wanted


async def create(request: Request) -> Response:
    """A new thread, with a past when supersteps are given."""
    services, body = services_of(request), await read_optional_body(request, ThreadBody)
    if body.supersteps and "graph_id" not in body.metadata:
        raise RefusedRequest("supersteps need metadata.graph_id, to know which graph takes them")
    ident = await ident_of(request)
    thread = await services.threads.create(
        body.thread_id or ident,
        body.metadata,
        exist_ok=body.if_exists == "do_nothing",
        token=ident,
        ttl=body.living,
    )
    if body.supersteps and thread.state_updated_at == thread.created_at:
        steps = [
            [
                update_of(update.values, update.command.public() if update.command else None, update.as_node)
                for update in step.updates
            ]
            for step in body.supersteps
        ]
        await services.states.replay(thread.thread_id, steps)
        thread = await services.threads.get(thread.thread_id)
    return Json(thread.public())


async def read(request: Request) -> Response:
    """One thread; its `ttl` only when asked for."""
    included = query_names(request, "include")
    if unknown := set(included) - {"ttl"}:
        raise InvalidRequest("include", f"{sorted(unknown)[0]!r} cannot be included; there is ttl")
    thread = await services_of(request).threads.get(path_id(request, "thread_id"))
    return Json(thread.public() | ({"ttl": thread.ttl} if included else {}))


async def patch(request: Request) -> Response:
    """Merge metadata, or say anew how long it lives."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, ThreadPatchBody)
    thread = await services_of(request).threads.patch(thread_id, body.metadata, body.living)
    wants = [wish.strip().lower() for wish in request.headers.get("prefer", "").split(",")]
    return nothing() if "return=minimal" in wants else Json(thread.public())


async def delete(request: Request) -> Response:
    """Remove the thread and everything of it."""
    await services_of(request).threads.delete(path_id(request, "thread_id"))
    return nothing()


async def search(request: Request) -> Response:
    """A page of threads."""
    body = await read_optional_body(request, ThreadSearchBody)
    paths = body.paths
    wanted = Wanted(ids=body.ids, metadata=body.metadata, values=body.values, status=body.status)
    found = await services_of(request).threads.search(
        wanted, limit=body.limit + 1, offset=body.offset, sort_by=body.sort_by, sort_order=body.sort_order
    )
    public = [thread.public() for thread in found[: body.limit]]
    shown = selected(public, body.select)
    if paths:
        shown = [one | {"extracted": extracted(whole, paths)} for one, whole in zip(shown, public, strict=True)]
    return paged(shown, offset=body.offset, limit=body.limit, total=body.offset + len(found))


async def count(request: Request) -> Response:
    """How many threads fit."""
    body = await read_optional_body(request, ThreadFilterBody)
    wanted = Wanted(metadata=body.metadata, values=body.values, status=body.status)
    return Json(await services_of(request).threads.count(wanted))


async def copy(request: Request) -> Response:
    """A new thread with the past of another."""
    source, ident = path_id(request, "thread_id"), await ident_of(request)
    return Json((await services_of(request).threads.copy(source, ident, token=ident)).public())


async def prune(request: Request) -> Response:
    """Delete threads, or shrink their past."""
    body = await read_body(request, PruneBody)
    return Json({"pruned_count": await services_of(request).threads.prune(body.thread_ids, body.strategy)})


async def storage(request: Request) -> Response:
    """What it takes."""
    return Json(await services_of(request).threads.storage(path_id(request, "thread_id")))


_ONE: Final = "/threads/{thread_id}"

ENDPOINTS: Final = (
    Endpoint("POST", "/threads", create, "A new thread", body=ThreadBody),
    Endpoint("POST", "/threads/search", search, "A page of threads", body=ThreadSearchBody),
    Endpoint("POST", "/threads/count", count, "How many threads fit", body=ThreadFilterBody),
    Endpoint("POST", "/threads/prune", prune, "Delete threads, or shrink their past", body=PruneBody),
    Endpoint("GET", _ONE, read, "One thread", query=(names("include", "ttl"),)),
    Endpoint("PATCH", _ONE, patch, "Merge metadata into a thread", body=ThreadPatchBody, bare=204),
    Endpoint("DELETE", _ONE, delete, "Remove a thread and everything of it", answers="", status=204),
    Endpoint("POST", f"{_ONE}/copy", copy, "A new thread with the past of another"),
    Endpoint("GET", f"{_ONE}/storage", storage, "Bytes that its checkpoints take"),
)
