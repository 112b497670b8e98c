"""Routes of threads."""

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
    read_value,
    response_if_readable,
    thread_query,
)
from slipway.api.bodies.thread_state import SuperstepBody
from slipway.api.bodies.threads import PruneBody, ThreadBody, ThreadFilterBody, ThreadPatchBody, ThreadSearchBody
from slipway.api.endpoints import Endpoint, list_param
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.pagination import completeness, page_of, selected
from slipway.api.request_parsing import path_id, query_names, read_body
from slipway.api.responses import JsonResponse, empty_response, large_response
from slipway.api.shared_objects import services_of
from slipway.errors import Conflict, InvalidRequest, NotFound, RefusedRequest
from slipway.services import Services
from slipway.threads.extract_paths import extract
from slipway.threads.record import Thread
from slipway.threads.state_updates import update_of
from slipway.threads.ttl import ThreadTtl


async def create(request: Request) -> Response:
    """Creates a thread, with the checkpoints of `supersteps` if the body has any."""
    services, body = services_of(request), await read_body(request, ThreadBody)
    if body.supersteps and "graph_id" not in body.metadata:
        raise RefusedRequest("supersteps need metadata.graph_id, which names the graph that writes them")
    own_id = await idempotent_id(request)
    thread_id = body.thread_id or own_id
    requested_ttl = body.thread_ttl
    ttl_value = None if requested_ttl is None else Ttl(ttl=requested_ttl.minutes, strategy=requested_ttl.strategy)
    request_value = ThreadsCreate.model_construct(
        thread_id=UUID(thread_id), metadata=body.metadata, if_exists=body.if_exists, ttl=ttl_value
    )
    value, create_filter = await authorize(request, request_value)
    thread_id, metadata, exist_ok = str(value.thread_id), value.metadata, value.if_exists == "do_nothing"
    ttl = None if value.ttl is None else ThreadTtl(value.ttl.ttl, value.ttl.strategy)
    update_filter = MATCH_ALL
    if body.supersteps:
        if "graph_id" not in metadata:
            raise request_value.handler_error("removed metadata.graph_id, without which supersteps cannot be written")
        _, update_filter = await authorize(request, StateWrite.model_construct(thread_id=value.thread_id))
    if exist_ok and not create_filter.matches(metadata):  # an existing thread may match
        with suppress(NotFound):
            await services.threads.check_access(thread_id, create_filter)
            return await _existing_response(request, await services.threads.get(thread_id))
    require_match(create_filter, metadata, "threads:create")
    require_match(update_filter, metadata, "threads:update")
    thread, is_new = await services.threads.create_or_get(
        thread_id, metadata, exist_ok=exist_ok, token=own_id, ttl=ttl, access_filter=create_filter
    )
    if body.supersteps and is_new:
        thread = await _write_supersteps(request, thread, body.supersteps)
    elif body.supersteps and thread.state_updated_at == thread.created_at:
        raise Conflict(
            f"thread {thread_id} exists without checkpoints: another request is writing them, or was interrupted; "
            "try again, or delete the thread"
        )
    return JsonResponse(thread.public()) if is_new else await _existing_response(request, thread)


async def _existing_response(request: Request, thread: Thread) -> Response:
    """The response for a thread that existed already. The user may be authorized to create it, but not to read it."""
    _, read_filter = await authorize(request, read_value(thread.thread_id))
    if not read_filter.matches(thread.metadata):
        raise Conflict(f"thread {thread.thread_id} exists already")
    return JsonResponse(thread.public())


async def _write_supersteps(request: Request, thread: Thread, supersteps: Sequence[SuperstepBody]) -> Thread:
    """Writes the checkpoints of a new thread and returns the thread. Deletes it when its graph rejects an update."""
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
    except (InvalidRequest, RefusedRequest):
        await services.threads.delete(thread.thread_id, thread.incarnation)
        raise
    return await services.threads.get(thread.thread_id)


async def read(request: Request) -> Response:
    """The response has `ttl` only with `include=ttl`."""
    included = query_names(request, "include")
    if unknown := set(included) - {"ttl"}:
        raise InvalidRequest("include", f"{sorted(unknown)[0]!r} cannot be included; choose from: ttl")
    thread_id = path_id(request, "thread_id")
    await authorize_read(request, thread_id)
    thread = await services_of(request).threads.get(thread_id)
    return await large_response(thread.public() | ({"ttl": thread.ttl} if included else {}))


async def patch(request: Request) -> Response:
    """Merges metadata and sets the time to live."""
    thread_id, body = path_id(request, "thread_id"), await read_body(request, ThreadPatchBody)
    changes = ThreadsUpdate.model_construct(thread_id=UUID(thread_id), metadata=body.metadata)
    value = await authorize_thread(request, changes)
    if body.thread_ttl is not None:  # a time to live will delete the thread
        await authorize_delete(request, thread_id)
    thread = await services_of(request).threads.patch(thread_id, value.metadata, body.thread_ttl)
    preferences = [each.strip().lower() for each in request.headers.get("prefer", "").split(",")]
    if "return=minimal" in preferences:
        return empty_response()
    return await response_if_readable(request, read_value(thread_id), thread)


async def delete(request: Request) -> Response:
    """Deletes the thread, its runs and its checkpoints."""
    thread_id = path_id(request, "thread_id")
    await authorize_delete(request, thread_id)
    await services_of(request).threads.delete(thread_id)
    return empty_response()


async def search(request: Request) -> Response:
    body = await read_body(request, ThreadSearchBody)
    paths = body.extract_paths
    value, access_filter = await authorize(
        request,
        ThreadsSearch.model_construct(
            metadata=body.metadata or {},
            values=body.values or {},
            status=body.status,
            limit=body.limit,
            offset=body.offset,
            ids=None if body.ids is None else [UUID(thread_id) for thread_id in body.ids],
        ),
    )
    found = await services_of(request).threads.search(
        thread_query(value, access_filter),
        limit=value.limit + 1,
        offset=value.offset,
        sort_by=body.sort_by,
        sort_order=body.sort_order,
    )
    threads = found.records[: value.limit]
    page = selected([thread.public() for thread in threads], body.select)
    if paths:
        parts = [thread.public() | {"values": thread.values} for thread in threads]
        page = [each | {"extracted": extract(thread, paths)} for each, thread in zip(page, parts, strict=True)]
    return page_of(found, page, offset=value.offset, limit=value.limit)


async def count(request: Request) -> Response:
    body = await read_body(request, ThreadFilterBody)
    value, access_filter = await authorize(
        request,
        ThreadsCount.model_construct(metadata=body.metadata or {}, values=body.values or {}, status=body.status),
    )
    counted = await services_of(request).threads.count(thread_query(value, access_filter))
    return JsonResponse(counted.number, headers=completeness(complete=counted.complete))


async def copy(request: Request) -> Response:
    """Creates a thread with the checkpoints of another."""
    services, source = services_of(request), path_id(request, "thread_id")
    new_id = services.shards.id_beside(source, await idempotent_id(request))
    _, read_filter = await authorize(request, read_value(source))
    if access_check_of(request).auth is None:
        access_check_of(request).mark_authorized("threads:create")
        return JsonResponse((await services.threads.copy(source, new_id, token=new_id)).public())
    metadata = await _metadata_of(services, source, read_filter)
    value, create_filter = await authorize(
        request, ThreadCopy.model_construct(thread_id=UUID(new_id), metadata=metadata, if_exists="raise")
    )
    require_match(create_filter, value.metadata, "threads:create")
    copied = await services.threads.copy(source, str(value.thread_id), token=new_id, metadata=value.metadata)
    return JsonResponse(copied.public())


async def _metadata_of(services: Services, source: str, read_filter: AccessFilter) -> dict[str, Any]:
    """The metadata of a thread. Raises the same `Conflict` for a thread that does not exist as for a thread that the
    user is not authorized to read."""
    try:
        await services.threads.check_access(source, read_filter)
        return (await services.threads.get(source)).metadata
    except NotFound:
        raise Conflict(f"thread {source} not found: it does not exist, or you are not permitted to read it") from None


async def prune(request: Request) -> Response:
    """Deletes threads, or all their checkpoints except the latest. Unknown threads, and those that do not match the
    user's access filter, are skipped."""
    body = await read_body(request, PruneBody)
    thread_ids = []
    for thread_id in dict.fromkeys(body.thread_ids):
        with suppress(NotFound):
            await authorize_delete(request, thread_id)
            thread_ids.append(thread_id)
    if not body.thread_ids:
        access_check_of(request).mark_authorized("threads:delete")
    return JsonResponse({"pruned_count": await services_of(request).threads.prune(thread_ids, body.strategy)})


async def storage(request: Request) -> Response:
    """The number of bytes that the thread uses in Redis."""
    thread_id = path_id(request, "thread_id")
    await authorize_read(request, thread_id)
    return JsonResponse(await services_of(request).threads.storage(thread_id))


_THREAD: Final = "/threads/{thread_id}"

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/threads",
        create,
        "Create a thread",
        requires("threads:create", optional=("threads:update", "threads:read")),
        body=ThreadBody,
        stores=True,
    ),
    Endpoint("POST", "/threads/search", search, "Search threads", requires("threads:search"), body=ThreadSearchBody),
    Endpoint("POST", "/threads/count", count, "Count threads", requires("threads:search"), body=ThreadFilterBody),
    Endpoint(
        "POST",
        "/threads/prune",
        prune,
        "Delete threads, or all their checkpoints except the latest",
        requires("threads:delete"),
        body=PruneBody,
    ),
    Endpoint("GET", _THREAD, read, "Read a thread", requires("threads:read"), query=(list_param("include", "ttl"),)),
    Endpoint(
        "PATCH",
        _THREAD,
        patch,
        "Merge metadata into a thread",
        requires("threads:update", optional=("threads:delete", "threads:read")),
        body=ThreadPatchBody,
        status_without_body=204,
        stores=True,
    ),
    Endpoint(
        "DELETE",
        _THREAD,
        delete,
        "Delete a thread with its runs and checkpoints",
        requires("threads:delete"),
        media_type="",
        status=204,
    ),
    Endpoint(
        "POST",
        f"{_THREAD}/copy",
        copy,
        "Create a thread with the checkpoints of another",
        requires("threads:read", "threads:create"),
        stores=True,
    ),
    Endpoint(
        "GET",
        f"{_THREAD}/storage",
        storage,
        "Read how many bytes a thread uses",
        requires("threads:read"),
    ),
)
