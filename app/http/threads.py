"""Threads: create, read, change, delete, search, count."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from app.errors import RefusedRequest
from app.http.answers import Json, nothing
from app.http.bodies import ThreadBody, ThreadFilterBody, ThreadPatchBody, ThreadSearchBody
from app.http.endpoints import Endpoint
from app.http.inputs import ident_of, path_id, read_body, read_optional_body
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
        body.thread_id or ident, body.metadata, exist_ok=body.if_exists == "do_nothing", token=ident
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
    """One thread."""
    return Json((await services_of(request).threads.get(path_id(request, "thread_id"))).public())


async def patch(request: Request) -> Response:
    """Merge metadata."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, ThreadPatchBody)
    thread = await services_of(request).threads.patch(thread_id, body.metadata)
    wants = [wish.strip().lower() for wish in request.headers.get("prefer", "").split(",")]
    return nothing() if "return=minimal" in wants else Json(thread.public())


async def delete(request: Request) -> Response:
    """Remove the thread and everything of it."""
    await services_of(request).threads.delete(path_id(request, "thread_id"))
    return nothing()


async def search(request: Request) -> Response:
    """A page of threads."""
    body = await read_optional_body(request, ThreadSearchBody)
    wanted = Wanted(ids=body.ids, metadata=body.metadata, values=body.values, status=body.status)
    found = await services_of(request).threads.search(
        wanted, limit=body.limit + 1, offset=body.offset, sort_by=body.sort_by, sort_order=body.sort_order
    )
    shown = selected([thread.public() for thread in found[: body.limit]], body.select)
    return paged(shown, offset=body.offset, limit=body.limit, total=body.offset + len(found))


async def count(request: Request) -> Response:
    """How many threads fit."""
    body = await read_optional_body(request, ThreadFilterBody)
    wanted = Wanted(metadata=body.metadata, values=body.values, status=body.status)
    return Json(await services_of(request).threads.count(wanted))


_ONE: Final = "/threads/{thread_id}"

ENDPOINTS: Final = (
    Endpoint("POST", "/threads", create, "A new thread", body=ThreadBody),
    Endpoint("POST", "/threads/search", search, "A page of threads", body=ThreadSearchBody),
    Endpoint("POST", "/threads/count", count, "How many threads fit", body=ThreadFilterBody),
    Endpoint("GET", _ONE, read, "One thread"),
    Endpoint("PATCH", _ONE, patch, "Merge metadata into a thread", body=ThreadPatchBody),
    Endpoint("DELETE", _ONE, delete, "Remove a thread and everything of it", answers="", status=204),
)
