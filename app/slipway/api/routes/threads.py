"""Threads: create, read, change, delete, search, count."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.threads import (
    StateWrite,
    ThreadCopy,
    ThreadsCount,
    ThreadsCreate,
    ThreadsSearch,
    ThreadsUpdate,
    Ttl,
)
from slipway.access.permissions import require_match
from slipway.api.auth.access_check import access_check_of, authorize, requires, user_of
from slipway.api.auth.authorization import (
    authorize_delete,
    authorize_read,
    authorize_thread,
    body_if_readable,
    read_value,
    thread_query,
)
from slipway.api.bodies.thread_state import SuperstepBody
from slipway.api.bodies.threads import PruneBody, ThreadBody, ThreadFilterBody, ThreadPatchBody, ThreadSearchBody
from slipway.api.endpoints import Endpoint, list_param
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.lifespan_state import services_of
from slipway.api.pagination import paged, selected
from slipway.api.request_parsing import path_id, query_names, read_body
from slipway.api.responses import JsonResponse, empty_response
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
    value, only = await authorize(request, wanted)
    thread_id, metadata, exist_ok = str(value.thread_id), value.metadata, value.if_exists == "do_nothing"
    ttl = None if value.ttl is None else ThreadTtl(value.ttl.ttl, value.ttl.strategy)
    writable = MATCH_ALL
    if body.supersteps:
        if "graph_id" not in metadata:
            raise wanted.handler_error("removed metadata.graph_id, without which supersteps cannot be taken")
        _, writable = await authorize(request, StateWrite.model_construct(thread_id=value.thread_id))
    if exist_ok and not only.matches(metadata):  # it may be there, and fit
        with suppress(NotFound):
            await services.threads.check_access(thread_id, only)
            return await _existing(request, await services.threads.get(thread_id))
    require_match(only, metadata, "threads:create")
    require_match(writable, metadata, "threads:update")
    thread, is_new = await services.threads.create_or_get(
        thread_id, metadata, exist_ok=exist_ok, token=ident, ttl=ttl, access_filter=only
    )
    if body.supersteps and is_new:
        thread = await _with_past(request, thread, body.supersteps)
    elif body.supersteps and thread.state_updated_at == thread.created_at:
        why = "is there without a past: another request is writing one, or was broken off; ask again, or delete it"
        raise Conflict(f"thread {thread_id} {why}")
    return JsonResponse(thread.public()) if is_new else await _existing(request, thread)


async def _existing(request: Request, thread: Thread) -> Response:
    """A thread that was there: whoever may make one may not read it by that."""
    _, readable = await authorize(request, read_value(thread.thread_id))
    if not readable.matches(thread.metadata):
        raise Conflict(f"thread {thread.thread_id} exists already")
    return JsonResponse(thread.public())


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
    await authorize_read(request, thread_id)
    thread = await services_of(request).threads.get(thread_id)
    return JsonResponse(thread.public() | ({"ttl": thread.ttl} if included else {}))


async def patch(request: Request) -> Response:
    """Merge metadata, or say anew how long it lives."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, ThreadPatchBody)
    changes = ThreadsUpdate.model_construct(thread_id=UUID(thread_id), metadata=body.metadata)
    value = await authorize_thread(request, changes)
    if body.living is not None:  # what is removed then is removed by this request
        await authorize_delete(request, thread_id)
    thread = await services_of(request).threads.patch(thread_id, value.metadata, body.living)
    wants = [wish.strip().lower() for wish in request.headers.get("prefer", "").split(",")]
    if "return=minimal" in wants:
        return empty_response()
    return await body_if_readable(
        request, read_value(thread_id), thread.metadata, lambda: JsonResponse(thread.public())
    )


async def delete(request: Request) -> Response:
    """Remove the thread and everything of it."""
    thread_id = path_id(request, "thread_id")
    await authorize_delete(request, thread_id)
    await services_of(request).threads.delete(thread_id)
    return empty_response()


async def search(request: Request) -> Response:
    """A page of threads."""
    body = await read_body(request, ThreadSearchBody)
    paths = body.paths
    value, only = await authorize(
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
        thread_query(value, only),
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
    value, only = await authorize(
        request,
        ThreadsCount.model_construct(metadata=body.metadata or {}, values=body.values or {}, status=body.status),
    )
    return JsonResponse(await services_of(request).threads.count(thread_query(value, only)))


async def copy(request: Request) -> Response:
    """A new thread with the past of another."""
    services, source, ident = services_of(request), path_id(request, "thread_id"), await idempotent_id(request)
    _, readable = await authorize(request, read_value(source))
    if access_check_of(request).auth is None:
        access_check_of(request).mark_authorized("threads:create")
        return JsonResponse((await services.threads.copy(source, ident, token=ident)).public())
    metadata = await _metadata_of(services, source, readable)
    value, only = await authorize(
        request, ThreadCopy.model_construct(thread_id=UUID(ident), metadata=metadata, if_exists="raise")
    )
    require_match(only, value.metadata, "threads:create")
    copied = await services.threads.copy(source, str(value.thread_id), token=ident, metadata=value.metadata)
    return JsonResponse(copied.public())


async def _metadata_of(services: Services, source: str, readable: AccessFilter) -> dict[str, Any]:
    """Nobody learns whether a thread exists that is not theirs."""
    try:
        await services.threads.check_access(source, readable)
        return (await services.threads.get(source)).metadata
    except NotFound:
        raise Conflict(f"thread {source} not found: it does not exist, or is not yours") from None


async def prune(request: Request) -> Response:
    """Delete threads, or shrink their past. Those that are hidden from the caller are passed over, as unknown ones."""
    body = await read_body(request, PruneBody)
    mine = []
    for thread_id in dict.fromkeys(body.thread_ids):
        with suppress(NotFound):
            await authorize_delete(request, thread_id)
            mine.append(thread_id)
    if not body.thread_ids:
        access_check_of(request).mark_authorized("threads:delete")
    return JsonResponse({"pruned_count": await services_of(request).threads.prune(mine, body.strategy)})


async def storage(request: Request) -> Response:
    """What it takes."""
    thread_id = path_id(request, "thread_id")
    await authorize_read(request, thread_id)
    return JsonResponse(await services_of(request).threads.storage(thread_id))


_ONE: Final = "/threads/{thread_id}"

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads",
        create,
        "A new thread",
        requires("threads:create", optional=("threads:update", "threads:read")),
        body=ThreadBody,
    ),
    Endpoint("POST", "/threads/search", search, "A page of threads", requires("threads:search"), body=ThreadSearchBody),
    Endpoint(
        "POST", "/threads/count", count, "How many threads fit", requires("threads:search"), body=ThreadFilterBody
    ),
    Endpoint(
        "POST",
        "/threads/prune",
        prune,
        "Delete threads, or shrink their past",
        requires("threads:delete"),
        body=PruneBody,
    ),
    Endpoint("GET", _ONE, read, "One thread", requires("threads:read"), query=(list_param("include", "ttl"),)),
    Endpoint(
        "PATCH",
        _ONE,
        patch,
        "Merge metadata into a thread",
        requires("threads:update", optional=("threads:delete", "threads:read")),
        body=ThreadPatchBody,
        status_without_body=204,
    ),
    Endpoint(
        "DELETE",
        _ONE,
        delete,
        "Remove a thread and everything of it",
        requires("threads:delete"),
        media_type="",
        status=204,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/copy",
        copy,
        "A new thread with the past of another",
        requires("threads:read", "threads:create"),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/storage",
        storage,
        "Bytes that its checkpoints take",
        requires("threads:read"),
    ),
)
