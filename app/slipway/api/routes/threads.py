"""Threads: create, read, change, delete, search, count."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.filters import EVERYTHING, Filter
from slipway.access.handler_values.threads import (
    ThreadsCopied,
    ThreadsCount,
    ThreadsCreate,
    ThreadsSearch,
    ThreadsUpdate,
    ThreadsWritten,
    Ttl,
)
from slipway.access.permissions import must_fit
from slipway.api.auth.access_check import gate_of, needs, permit, user_of
from slipway.api.auth.authorization import (
    permit_delete,
    permit_read,
    permit_thread,
    reading,
    shown_if_readable,
    wanted_threads,
)
from slipway.api.bodies.thread_state import SuperstepBody
from slipway.api.bodies.threads import PruneBody, ThreadBody, ThreadFilterBody, ThreadPatchBody, ThreadSearchBody
from slipway.api.endpoints import Endpoint, names
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.lifespan_state import services_of
from slipway.api.pagination import paged, selected
from slipway.api.request_parsing import path_id, query_names, read_body
from slipway.api.responses import Json, nothing
from slipway.errors import Conflict, InvalidRequest, NotFound, RefusedRequest
from slipway.services import Services
from slipway.threads.extract_paths import extracted
from slipway.threads.record import Thread
from slipway.threads.state_updates import update_of
from slipway.threads.ttl import ThreadTtl


async def create(request: Request) -> Response:
    """A new thread, with a past when supersteps are given."""
    services, body = services_of(request), await read_body(request, ThreadBody)
    if body.supersteps and "graph_id" not in body.metadata:
        raise RefusedRequest("supersteps need metadata.graph_id, to know which graph takes them")
    ident = await idempotent_id(request)
    thread_id = body.thread_id or ident
    living = None if body.living is None else Ttl(ttl=body.living.minutes, strategy=body.living.strategy)
    wanted = ThreadsCreate.model_construct(
        thread_id=UUID(thread_id), metadata=body.metadata, if_exists=body.if_exists, ttl=living
    )
    value, only = await permit(request, wanted)
    thread_id, metadata, exist_ok = str(value.thread_id), value.metadata, value.if_exists == "do_nothing"
    ttl = None if value.ttl is None else ThreadTtl(value.ttl.ttl, value.ttl.strategy)
    writable = EVERYTHING
    if body.supersteps:
        if "graph_id" not in metadata:
            raise wanted.broken("removed metadata.graph_id, without which supersteps cannot be taken")
        _, writable = await permit(request, ThreadsWritten.model_construct(thread_id=value.thread_id))
    if exist_ok and not only.fits(metadata):  # it may be there, and fit
        with suppress(NotFound):
            await services.threads.check(thread_id, only)
            return await _existing(request, await services.threads.get(thread_id))
    must_fit(only, metadata, "threads:create")
    must_fit(writable, metadata, "threads:update")
    thread, is_new = await services.threads.make(
        thread_id, metadata, exist_ok=exist_ok, token=ident, ttl=ttl, only=only
    )
    if body.supersteps and is_new:
        thread = await _with_past(request, thread, body.supersteps)
    elif body.supersteps and thread.state_updated_at == thread.created_at:
        why = "is there without a past: another request is writing one, or was broken off; ask again, or delete it"
        raise Conflict(f"thread {thread_id} {why}")
    return Json(thread.public()) if is_new else await _existing(request, thread)


async def _existing(request: Request, thread: Thread) -> Response:
    """A thread that was there: whoever may make one may not read it by that."""
    _, readable = await permit(request, reading(thread.thread_id))
    if not readable.fits(thread.metadata):
        raise Conflict(f"thread {thread.thread_id} exists already")
    return Json(thread.public())


async def _with_past(request: Request, thread: Thread, supersteps: Sequence[SuperstepBody]) -> Thread:
    """The new thread once all is written; it goes again when its graph refuses."""
    services = services_of(request)
    steps = [
        [
            update_of(update.values, update.command.public() if update.command else None, update.as_node)
            for update in step.updates
        ]
        for step in supersteps
    ]
    try:
        await services.states.replay(thread.thread_id, steps, user_of(request))
    except RefusedRequest:
        await services.threads.delete(thread.thread_id, thread.incarnation)
        raise
    return await services.threads.get(thread.thread_id)


async def read(request: Request) -> Response:
    """One thread; its `ttl` only when asked for."""
    included = query_names(request, "include")
    if unknown := set(included) - {"ttl"}:
        raise InvalidRequest("include", f"{sorted(unknown)[0]!r} cannot be included; there is ttl")
    thread_id = path_id(request, "thread_id")
    await permit_read(request, thread_id)
    thread = await services_of(request).threads.get(thread_id)
    return Json(thread.public() | ({"ttl": thread.ttl} if included else {}))


async def patch(request: Request) -> Response:
    """Merge metadata, or say anew how long it lives."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, ThreadPatchBody)
    changes = ThreadsUpdate.model_construct(thread_id=UUID(thread_id), metadata=body.metadata)
    value = await permit_thread(request, changes)
    if body.living is not None:  # what is removed then is removed by this request
        await permit_delete(request, thread_id)
    thread = await services_of(request).threads.patch(thread_id, value.metadata, body.living)
    wants = [wish.strip().lower() for wish in request.headers.get("prefer", "").split(",")]
    if "return=minimal" in wants:
        return nothing()
    return await shown_if_readable(request, reading(thread_id), thread.metadata, lambda: Json(thread.public()))


async def delete(request: Request) -> Response:
    """Remove the thread and everything of it."""
    thread_id = path_id(request, "thread_id")
    await permit_delete(request, thread_id)
    await services_of(request).threads.delete(thread_id)
    return nothing()


async def search(request: Request) -> Response:
    """A page of threads."""
    body = await read_body(request, ThreadSearchBody)
    paths = body.paths
    value, only = await permit(
        request,
        ThreadsSearch.model_construct(
            metadata=body.metadata or {},
            values=body.values or {},
            status=body.status,
            limit=body.limit,
            offset=body.offset,
            ids=None if body.ids is None else [UUID(ident) for ident in body.ids],
        ),
    )
    found = await services_of(request).threads.search(
        wanted_threads(value, only),
        limit=value.limit + 1,
        offset=value.offset,
        sort_by=body.sort_by,
        sort_order=body.sort_order,
    )
    public = [thread.public() for thread in found[: value.limit]]
    shown = selected(public, body.select)
    if paths:
        shown = [one | {"extracted": extracted(whole, paths)} for one, whole in zip(shown, public, strict=True)]
    return paged(shown, offset=value.offset, limit=value.limit, total=value.offset + len(found))


async def count(request: Request) -> Response:
    """How many threads fit."""
    body = await read_body(request, ThreadFilterBody)
    value, only = await permit(
        request,
        ThreadsCount.model_construct(metadata=body.metadata or {}, values=body.values or {}, status=body.status),
    )
    return Json(await services_of(request).threads.count(wanted_threads(value, only)))


async def copy(request: Request) -> Response:
    """A new thread with the past of another."""
    services, source, ident = services_of(request), path_id(request, "thread_id"), await idempotent_id(request)
    _, readable = await permit(request, reading(source))
    if gate_of(request).auth is None:
        gate_of(request).note("threads:create")
        return Json((await services.threads.copy(source, ident, token=ident)).public())
    metadata = await _metadata_of(services, source, readable)
    value, only = await permit(
        request, ThreadsCopied.model_construct(thread_id=UUID(ident), metadata=metadata, if_exists="raise")
    )
    must_fit(only, value.metadata, "threads:create")
    copied = await services.threads.copy(source, str(value.thread_id), token=ident, metadata=value.metadata)
    return Json(copied.public())


async def _metadata_of(services: Services, source: str, readable: Filter) -> dict[str, Any]:
    """Nobody learns whether a thread exists that is not theirs."""
    try:
        await services.threads.check(source, readable)
        return (await services.threads.get(source)).metadata
    except NotFound:
        raise Conflict(f"thread {source} not found: it does not exist, or is not yours") from None


async def prune(request: Request) -> Response:
    """Delete threads, or shrink their past. Those that are hidden from the caller are passed over, as unknown ones."""
    body = await read_body(request, PruneBody)
    mine = []
    for thread_id in dict.fromkeys(body.thread_ids):
        with suppress(NotFound):
            await permit_delete(request, thread_id)
            mine.append(thread_id)
    if not body.thread_ids:
        gate_of(request).note("threads:delete")
    return Json({"pruned_count": await services_of(request).threads.prune(mine, body.strategy)})


async def storage(request: Request) -> Response:
    """What it takes."""
    thread_id = path_id(request, "thread_id")
    await permit_read(request, thread_id)
    return Json(await services_of(request).threads.storage(thread_id))


_ONE: Final = "/threads/{thread_id}"

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads",
        create,
        "A new thread",
        needs("threads:create", may=("threads:update", "threads:read")),
        body=ThreadBody,
    ),
    Endpoint("POST", "/threads/search", search, "A page of threads", needs("threads:search"), body=ThreadSearchBody),
    Endpoint("POST", "/threads/count", count, "How many threads fit", needs("threads:search"), body=ThreadFilterBody),
    Endpoint(
        "POST", "/threads/prune", prune, "Delete threads, or shrink their past", needs("threads:delete"), body=PruneBody
    ),
    Endpoint("GET", _ONE, read, "One thread", needs("threads:read"), query=(names("include", "ttl"),)),
    Endpoint(
        "PATCH",
        _ONE,
        patch,
        "Merge metadata into a thread",
        needs("threads:update", may=("threads:delete", "threads:read")),
        body=ThreadPatchBody,
        bare=204,
    ),
    Endpoint(
        "DELETE", _ONE, delete, "Remove a thread and everything of it", needs("threads:delete"), answers="", status=204
    ),
    Endpoint(
        "POST",
        f"{_ONE}/copy",
        copy,
        "A new thread with the past of another",
        needs("threads:read", "threads:create"),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/storage",
        storage,
        "Bytes that its checkpoints take",
        needs("threads:read"),
    ),
)
