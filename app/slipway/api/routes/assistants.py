"""Assistants: one a graph from the start, others as clients make them; versions, drawings and schemas."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.filters import MATCH_ALL, AccessFilter
from slipway.access.handler_values.assistants import (
    AssistantsCount,
    AssistantsCreate,
    AssistantsDelete,
    AssistantsRead,
    AssistantsSearch,
    AssistantsSetVersion,
    AssistantsUpdate,
)
from slipway.access.handler_values.threads import ThreadsDelete
from slipway.access.permissions import require_match
from slipway.api.auth.access_check import access_check_of, authorize, requires, user_of
from slipway.api.auth.authorization import assistant_id_of, authorize_assistant, body_if_readable, read_assistant
from slipway.api.bodies.assistants import (
    AssistantBody,
    AssistantFilterBody,
    AssistantLatestBody,
    AssistantPatchBody,
    AssistantSearchBody,
    AssistantVersionsBody,
)
from slipway.api.endpoints import Endpoint, Query, bool_param
from slipway.api.idempotent_ids import idempotent_id
from slipway.api.lifespan_state import services_of
from slipway.api.pagination import paged, selected
from slipway.api.request_parsing import query_flag, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.assistants.record import Assistant, config_and_context
from slipway.errors import Conflict, InvalidRequest, NotFound, RefusedRequest
from slipway.graphs.manifest import Manifest
from slipway.json_comparison import contains
from slipway.runs.cancel_reasons import Action, by_deleted_assistant
from slipway.runs.idempotency import HEADER
from slipway.runs.run_request import ceilings_in, priority_in
from slipway.services import Services
from slipway.threads.search import ThreadQuery


async def create(request: Request) -> Response:
    """A new assistant."""
    body, ident = await read_body(request, AssistantBody), await idempotent_id(request)
    _check(body)
    assistant_id = body.assistant_id or (ident if HEADER in request.headers else str(uuid4()))
    wanted = AssistantsCreate.model_construct(
        assistant_id=UUID(assistant_id),
        graph_id=body.graph_id,
        name=body.name,
        if_exists=body.if_exists,
        **_shared(body),
    )
    value, only = await authorize(request, wanted)
    assistant_id, exist_ok = str(value.assistant_id), value.if_exists == "do_nothing"
    assistants, new = services_of(request).assistants, _left(wanted, value).changes()
    if exist_ok and access_check_of(request).auth is not None:
        with suppress(NotFound):
            return await _existing(request, await assistants.get(assistant_id, only))
    require_match(only, new.metadata, "assistants:create")
    assistant = await assistants.create(assistant_id, new, token=ident, exist_ok=exist_ok, access_filter=only)
    return JsonResponse(assistant.public())


def _reading(assistant: Assistant) -> AssistantsRead:
    return AssistantsRead.model_construct(assistant_id=UUID(assistant.assistant_id))


async def _existing(request: Request, assistant: Assistant) -> Response:
    """An assistant that was there: whoever may make one may not read it by that."""
    _, only = await authorize(request, _reading(assistant))
    if not only.matches(assistant.metadata):
        raise Conflict(f"assistant {assistant.assistant_id} exists already")
    return JsonResponse(assistant.public())


async def _changed_to(request: Request, assistant: Assistant) -> Response:
    """The answer to a change."""
    return await body_if_readable(
        request, _reading(assistant), assistant.metadata, lambda: JsonResponse(assistant.public())
    )


async def patch(request: Request) -> Response:
    """A new version."""
    body, ident = await read_body(request, AssistantPatchBody), await idempotent_id(request)
    _check(body)
    assistant_id = assistant_id_of(request, _ident(request))
    wanted = AssistantsUpdate.model_construct(
        assistant_id=assistant_id, graph_id=body.graph_id, name=body.name, **_shared(body)
    )
    _, value = await authorize_assistant(request, wanted)
    changes = _left(wanted, value).changes()
    return await _changed_to(
        request, await services_of(request).assistants.patch(_ident(request), changes, token=ident)
    )


def _shared(body: AssistantPatchBody) -> dict[str, Any]:
    """What authorize handlers are shown of it, whether it is new or changed."""
    return {
        "description": body.description,
        "config": None if body.config is None else body.config.non_empty(),
        "context": body.context,
        "metadata": body.metadata,
    }


def _left(wanted: AssistantsCreate | AssistantsUpdate, left: AssistantsCreate | AssistantsUpdate) -> AssistantPatchBody:
    """The assistant as a handler left it. `AuthBroken` where no client could ask for it."""
    members = left.model_dump(include={"graph_id", "name", "description", "config", "context"})
    try:
        body = validated(AssistantPatchBody, members)
        _check(body)
        config_and_context(members["config"], members["context"])
    except (InvalidRequest, RefusedRequest) as error:
        raise (
            error if left == wanted else wanted.handler_error(f"left an assistant that is refused: {error}")
        ) from error
    return body.model_copy(update={"metadata": left.metadata})  # with what only the server writes, if it is there


def _check(body: AssistantPatchBody) -> None:
    """What would make every run of it fail is refused at once."""
    configurable = body.context or (body.config.configurable if body.config else {})
    ceilings_in({"configurable": configurable})
    priority_in(configurable)


async def delete(request: Request) -> Response:
    """Remove an assistant, and its threads when asked to; its runs in flight are cancelled."""
    services, assistant_id, threads = services_of(request), _ident(request), query_flag(request, "delete_threads")
    value = AssistantsDelete.model_construct(assistant_id=assistant_id_of(request, assistant_id))
    await authorize_assistant(request, value)
    only = MATCH_ALL
    if threads:
        _, only = await authorize(request, ThreadsDelete.model_construct(thread_id=None))
    await services.assistants.delete(assistant_id)
    await services.crons.delete_of(assistant_id)
    await _cancel_runs(services, assistant_id)
    if threads:
        await _delete_threads(services, assistant_id, only)
    return empty_response()


async def _cancel_runs(services: Services, assistant_id: str) -> None:
    # read to the end first: what is cancelled moves what is read
    for run in [run async for run in services.in_flight.runs() if run.assistant_id == assistant_id]:
        with suppress(NotFound):
            cause = by_deleted_assistant(assistant_id)
            await services.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT, cause)


async def _delete_threads(services: Services, assistant_id: str, only: AccessFilter) -> None:
    wanted = ThreadQuery(metadata={"assistant_id": assistant_id}, access_filter=only)
    while found := await services.threads.search(wanted, limit=100):
        for thread in found:
            with suppress(NotFound):
                await services.threads.delete(thread.thread_id, thread.incarnation)


async def search(request: Request) -> Response:
    """A page of assistants."""
    body = await read_body(request, AssistantSearchBody)
    wanted = AssistantsSearch.model_construct(
        graph_id=body.graph_id, metadata=body.metadata or {}, limit=body.limit, offset=body.offset
    )
    value, only = await authorize(request, wanted)
    found = await services_of(request).assistants.search(
        metadata=value.metadata,
        access_filter=only,
        graph_id=value.graph_id,
        name=body.name,
        sort_by=body.sort_by,
        descending=body.sort_order == "desc",
    )
    page = found[value.offset : value.offset + value.limit]
    shown = selected([assistant.public() for assistant in page], body.select)
    return paged(shown, offset=value.offset, limit=value.limit, total=len(found))


async def count(request: Request) -> Response:
    """How many assistants fit."""
    body = await read_body(request, AssistantFilterBody)
    wanted = AssistantsCount.model_construct(graph_id=body.graph_id, metadata=body.metadata or {})
    value, only = await authorize(request, wanted)
    found = await services_of(request).assistants.search(
        metadata=value.metadata, graph_id=value.graph_id, name=body.name, access_filter=only
    )
    return JsonResponse(len(found))


async def read(request: Request) -> Response:
    """One assistant."""
    return JsonResponse((await _read(request)).public())


async def versions(request: Request) -> Response:
    """A page of its versions, newest first."""
    body = await read_body(request, AssistantVersionsBody)
    await _read(request)
    every = await services_of(request).assistants.versions(_ident(request))
    found = [version for version in every if contains(version.metadata, body.metadata or {})]
    page = [version.public_version() for version in found[body.offset : body.offset + body.limit]]
    return paged(page, offset=body.offset, limit=body.limit, total=len(found))


async def latest(request: Request) -> Response:
    """Make a version the present one."""
    body = await read_body(request, AssistantLatestBody)
    assistant_id = assistant_id_of(request, _ident(request))
    wanted = AssistantsSetVersion.model_construct(assistant_id=assistant_id, version=body.version)
    _, value = await authorize_assistant(request, wanted)
    return await _changed_to(
        request, await services_of(request).assistants.set_current_version(_ident(request), value.version)
    )


async def graph(request: Request) -> Response:
    """The drawing."""
    xray = _xray(request)
    return JsonResponse((await _manifest(request)).public_graph(xray))


async def schemas(request: Request) -> Response:
    """JSON schemas of input, output, state, config and context."""
    return JsonResponse((await _manifest(request)).public_schemas())


async def subgraphs(request: Request) -> Response:
    """Schemas of subgraphs, by namespace."""
    recurse = query_flag(request, "recurse")
    manifest = await _manifest(request)
    return JsonResponse(manifest.public_subgraphs(request.path_params.get("namespace"), recurse))


async def _manifest(request: Request) -> Manifest:
    return await services_of(request).assistants.manifest(await _read(request), user_of(request))


async def _read(request: Request) -> Assistant:
    """The assistant of the path, if the caller may read it."""
    return await read_assistant(request, _ident(request))


def _ident(request: Request) -> str:
    """An id or a graph's name."""
    return str(request.path_params["assistant_id"])


def _xray(request: Request) -> bool | int:
    text = request.query_params.get("xray", "false").lower()
    if text in ("true", "false"):
        return text == "true"
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise InvalidRequest("xray", "is true, false, or a number of levels from 1 up")
    return int(text)


_ONE: Final = "/assistants/{assistant_id}"
_WITH_THREADS: Final = bool_param("delete_threads", "Remove the threads whose last run was one of this assistant too")

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/assistants",
        create,
        "A new assistant",
        requires("assistants:create", optional=("assistants:read",)),
        body=AssistantBody,
    ),
    Endpoint(
        "POST",
        "/assistants/search",
        search,
        "A page of assistants",
        requires("assistants:search"),
        body=AssistantSearchBody,
    ),
    Endpoint(
        "POST",
        "/assistants/count",
        count,
        "How many assistants fit",
        requires("assistants:search"),
        body=AssistantFilterBody,
    ),
    Endpoint(
        "GET",
        _ONE,
        read,
        "One assistant, by id or graph name",
        requires("assistants:read"),
    ),
    Endpoint(
        "PATCH",
        _ONE,
        patch,
        "A new version of an assistant",
        requires("assistants:update", "assistants:read"),
        body=AssistantPatchBody,
    ),
    Endpoint(
        "DELETE",
        _ONE,
        delete,
        "Remove an assistant",
        requires("assistants:delete", optional=("threads:delete",)),
        media_type="",
        status=204,
        query=(_WITH_THREADS,),
    ),
    Endpoint(
        "POST",
        f"{_ONE}/versions",
        versions,
        "Its versions, newest first",
        requires("assistants:read"),
        body=AssistantVersionsBody,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/latest",
        latest,
        "Make a version the present one",
        requires("assistants:update", "assistants:read"),
        body=AssistantLatestBody,
        status_without_body=204,
    ),
    Endpoint(
        "GET",
        f"{_ONE}/graph",
        graph,
        "The drawing of its graph",
        requires("assistants:read"),
        query=(Query("xray", {"type": "string", "default": "false"}, "true, false, or levels of subgraphs to open"),),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/schemas",
        schemas,
        "JSON schemas of its graph",
        requires("assistants:read"),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/subgraphs",
        subgraphs,
        "Schemas of subgraphs",
        requires("assistants:read"),
        query=(bool_param("recurse"),),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/subgraphs/{{namespace:path}}",
        subgraphs,
        "Schemas of one subgraph",
        requires("assistants:read"),
        query=(bool_param("recurse"),),
    ),
)
