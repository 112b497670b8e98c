"""Routes of assistants: records, versions, drawings and schemas."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final, TypedDict
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
from slipway.api.auth.authorization import assistant_id_of, authorize_assistant, read_assistant, response_if_readable
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
from slipway.api.pagination import completeness, page_of, paged, selected
from slipway.api.request_parsing import query_flag, read_body, validated
from slipway.api.responses import JsonResponse, empty_response
from slipway.api.shared_objects import services_of
from slipway.assistants.record import Assistant, config_and_context
from slipway.assistants.search import AssistantQuery
from slipway.errors import Conflict, InvalidRequest, NotFound, RefusedRequest
from slipway.graphs.manifest import Manifest
from slipway.json_comparison import contains
from slipway.protocol_types import JsonObject
from slipway.runs.cancel_reasons import Action, by_deleted_assistant
from slipway.runs.idempotency import HEADER
from slipway.runs.slipway_options import CONTEXT, parse_slipway_options
from slipway.services import Services
from slipway.threads.search import ThreadQuery


class _SharedMembers(TypedDict):
    """The members that the handler values of a new and of a changed assistant share."""

    description: str | None
    config: JsonObject | None
    context: JsonObject | None
    metadata: JsonObject


async def create(request: Request) -> Response:
    body, new_id = await read_body(request, AssistantBody), await idempotent_id(request)
    _check_run_options(body)
    assistant_id = body.assistant_id or (new_id if HEADER in request.headers else str(uuid4()))
    request_value = AssistantsCreate.model_construct(
        assistant_id=UUID(assistant_id),
        graph_id=body.graph_id,
        name=body.name,
        if_exists=body.if_exists,
        **_shared_members(body),
    )
    value, create_filter = await authorize(request, request_value)
    assistant_id, exist_ok = str(value.assistant_id), value.if_exists == "do_nothing"
    assistants, new = services_of(request).assistants, _with_handler_changes(request_value, value).changes()
    if exist_ok and access_check_of(request).auth is not None:
        with suppress(NotFound):
            return await _existing_response(request, await assistants.get(assistant_id, create_filter))
    require_match(create_filter, new.metadata, "assistants:create")
    assistant = await assistants.create(assistant_id, new, token=new_id, exist_ok=exist_ok, access_filter=create_filter)
    return JsonResponse(assistant.public())


def _read_value(assistant: Assistant) -> AssistantsRead:
    return AssistantsRead.model_construct(assistant_id=UUID(assistant.assistant_id))


async def _existing_response(request: Request, assistant: Assistant) -> Response:
    """The response for an assistant that existed already. The user may be authorized to create it, but not to read
    it."""
    _, read_filter = await authorize(request, _read_value(assistant))
    if not read_filter.matches(assistant.metadata):
        raise Conflict(f"assistant {assistant.assistant_id} exists already")
    return JsonResponse(assistant.public())


async def patch(request: Request) -> Response:
    """Creates a new version."""
    body, new_id = await read_body(request, AssistantPatchBody), await idempotent_id(request)
    _check_run_options(body)
    assistant_id = assistant_id_of(request, _id_or_name(request))
    request_value = AssistantsUpdate.model_construct(
        assistant_id=assistant_id, graph_id=body.graph_id, name=body.name, **_shared_members(body)
    )
    _, value = await authorize_assistant(request, request_value)
    changes = _with_handler_changes(request_value, value).changes()
    changed = await services_of(request).assistants.patch(_id_or_name(request), changes, token=new_id)
    return await response_if_readable(request, _read_value(changed), changed)


def _shared_members(body: AssistantPatchBody) -> _SharedMembers:
    return {
        "description": body.description,
        "config": None if body.config is None else body.config.non_empty(),
        "context": body.context,
        "metadata": body.metadata,
    }


def _with_handler_changes(
    request_value: AssistantsCreate | AssistantsUpdate, value: AssistantsCreate | AssistantsUpdate
) -> AssistantPatchBody:
    """The assistant after the authorize handler has changed `request_value` to `value`. Raises the error of an invalid
    assistant if the request is invalid without the changes too, else `AuthBroken`."""
    try:
        body = _checked_body(value)
    except (InvalidRequest, RefusedRequest) as error:
        _checked_body(request_value)
        raise request_value.handler_error(f"changed the assistant to an invalid one: {error}") from error
    return body.model_copy(update={"metadata": value.metadata})  # with the names that only the server writes


def _checked_body(value: AssistantsCreate | AssistantsUpdate) -> AssistantPatchBody:
    """Raises `InvalidRequest` and `RefusedRequest`."""
    members = value.model_dump(include={"graph_id", "name", "description", "config", "context"})
    body = validated(AssistantPatchBody, members)
    _check_run_options(body)
    config_and_context(members["config"], members["context"])
    return body


def _check_run_options(body: AssistantPatchBody) -> None:
    """Raises `InvalidRequest` for a ceiling or a priority with which every run of the assistant would fail."""
    if body.config is not None:
        parse_slipway_options(body.config.configurable)
    if body.context is not None:
        parse_slipway_options(body.context, CONTEXT)


async def delete(request: Request) -> Response:
    """Deletes an assistant with its crons, and cancels its unfinished runs. `delete_threads` deletes its threads
    too."""
    services, assistant_id, with_threads = (
        services_of(request),
        _id_or_name(request),
        query_flag(request, "delete_threads"),
    )
    value = AssistantsDelete.model_construct(assistant_id=assistant_id_of(request, assistant_id))
    await authorize_assistant(request, value)
    delete_filter = MATCH_ALL
    if with_threads:
        _, delete_filter = await authorize(request, ThreadsDelete.model_construct(thread_id=None))
    await services.assistants.delete(assistant_id)
    await services.crons.delete_for_assistant(assistant_id)
    await _cancel_runs(services, assistant_id)
    if with_threads:
        await _delete_threads(services, assistant_id, delete_filter)
    return empty_response()


async def _cancel_runs(services: Services, assistant_id: str) -> None:
    async for run in services.unfinished_runs.of_assistant(assistant_id):
        with suppress(NotFound):
            cause = by_deleted_assistant(assistant_id)
            await services.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT, cause)


async def _delete_threads(services: Services, assistant_id: str, delete_filter: AccessFilter) -> None:
    query = ThreadQuery(metadata={"assistant_id": assistant_id}, access_filter=delete_filter)
    while found := (await services.threads.search(query, limit=100)).records:
        for thread in found:
            with suppress(NotFound):
                await services.threads.delete(thread.thread_id, thread.incarnation)


async def search(request: Request) -> Response:
    body = await read_body(request, AssistantSearchBody)
    request_value = AssistantsSearch.model_construct(
        graph_id=body.graph_id, metadata=body.metadata or {}, limit=body.limit, offset=body.offset
    )
    value, access_filter = await authorize(request, request_value)
    found = await services_of(request).assistants.search(
        _query(value, body, access_filter),
        limit=value.limit + 1,  # one more tells whether there is a next page
        offset=value.offset,
        sort_by=body.sort_by,
        descending=body.sort_order == "desc",
    )
    objects = selected([assistant.public() for assistant in found.records[: value.limit]], body.select)
    return page_of(found, objects, offset=value.offset, limit=value.limit)


async def count(request: Request) -> Response:
    body = await read_body(request, AssistantFilterBody)
    request_value = AssistantsCount.model_construct(graph_id=body.graph_id, metadata=body.metadata or {})
    value, access_filter = await authorize(request, request_value)
    counted = await services_of(request).assistants.count(_query(value, body, access_filter))
    return JsonResponse(counted.number, headers=completeness(complete=counted.complete))


def _query(value: AssistantsSearch, body: AssistantFilterBody, access_filter: AccessFilter) -> AssistantQuery:
    """The query for an authorized search."""
    return AssistantQuery(value.metadata, value.graph_id, body.name, access_filter)


async def read(request: Request) -> Response:
    return JsonResponse((await _read(request)).public())


async def versions(request: Request) -> Response:
    """A page of the versions, newest first."""
    body = await read_body(request, AssistantVersionsBody)
    await _read(request)
    every = await services_of(request).assistants.versions(_id_or_name(request))
    found = [version for version in every if contains(version.metadata, body.metadata or {})]
    page = [version.public_version() for version in found[body.offset : body.offset + body.limit]]
    return paged(page, offset=body.offset, limit=body.limit, total=len(found))


async def latest(request: Request) -> Response:
    """Sets the current version."""
    body = await read_body(request, AssistantLatestBody)
    assistant_id = assistant_id_of(request, _id_or_name(request))
    request_value = AssistantsSetVersion.model_construct(assistant_id=assistant_id, version=body.version)
    _, value = await authorize_assistant(request, request_value)
    changed = await services_of(request).assistants.set_current_version(_id_or_name(request), value.version)
    return await response_if_readable(request, _read_value(changed), changed)


async def graph(request: Request) -> Response:
    """The drawing of the graph."""
    xray = _xray(request)
    return JsonResponse((await _manifest(request)).public_graph(xray))


async def schemas(request: Request) -> Response:
    """The JSON schemas of input, output, state, config and context."""
    return JsonResponse((await _manifest(request)).public_schemas())


async def subgraphs(request: Request) -> Response:
    """The JSON schemas of subgraphs, by namespace."""
    recurse = query_flag(request, "recurse")
    manifest = await _manifest(request)
    return JsonResponse(manifest.public_subgraphs(request.path_params.get("namespace"), recurse))


async def _manifest(request: Request) -> Manifest:
    return await services_of(request).assistants.manifest(await _read(request), user_of(request))


async def _read(request: Request) -> Assistant:
    """The assistant in the path, if the user can read it."""
    return await read_assistant(request, _id_or_name(request))


def _id_or_name(request: Request) -> str:
    """An assistant id or a graph id."""
    return str(request.path_params["assistant_id"])


def _xray(request: Request) -> bool | int:
    text = request.query_params.get("xray", "false").lower()
    if text in ("true", "false"):
        return text == "true"
    if not re.fullmatch(r"[1-9]\d{0,3}", text, re.ASCII):
        raise InvalidRequest("xray", "must be true, false, or a number of levels from 1")
    return int(text)


_ASSISTANT: Final = "/assistants/{assistant_id}"
_WITH_THREADS: Final = bool_param("delete_threads", "Also delete the threads whose last run used this assistant")

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/assistants",
        create,
        "Create an assistant",
        requires("assistants:create", optional=("assistants:read",)),
        body=AssistantBody,
        stores=True,
    ),
    Endpoint(
        "POST",
        "/assistants/search",
        search,
        "Search assistants",
        requires("assistants:search"),
        body=AssistantSearchBody,
    ),
    Endpoint(
        "POST",
        "/assistants/count",
        count,
        "Count assistants",
        requires("assistants:search"),
        body=AssistantFilterBody,
    ),
    Endpoint(
        "GET",
        _ASSISTANT,
        read,
        "Read an assistant, by id or graph id",
        requires("assistants:read"),
    ),
    Endpoint(
        "PATCH",
        _ASSISTANT,
        patch,
        "Create a new version of an assistant",
        requires("assistants:update", "assistants:read"),
        body=AssistantPatchBody,
        stores=True,
    ),
    Endpoint(
        "DELETE",
        _ASSISTANT,
        delete,
        "Delete an assistant",
        requires("assistants:delete", optional=("threads:delete",)),
        media_type="",
        status=204,
        query=(_WITH_THREADS,),
    ),
    Endpoint(
        "POST",
        f"{_ASSISTANT}/versions",
        versions,
        "List the versions, newest first",
        requires("assistants:read"),
        body=AssistantVersionsBody,
    ),
    Endpoint(
        "POST",
        f"{_ASSISTANT}/latest",
        latest,
        "Set the current version",
        requires("assistants:update", "assistants:read"),
        body=AssistantLatestBody,
        status_without_body=204,
    ),
    Endpoint(
        "GET",
        f"{_ASSISTANT}/graph",
        graph,
        "Read the drawing of the graph",
        requires("assistants:read"),
        query=(
            Query(
                "xray", {"type": "string", "default": "false"}, "true, false, or the number of subgraph levels to show"
            ),
        ),
    ),
    Endpoint(
        "GET",
        f"{_ASSISTANT}/schemas",
        schemas,
        "Read the JSON schemas of the graph",
        requires("assistants:read"),
    ),
    Endpoint(
        "GET",
        f"{_ASSISTANT}/subgraphs",
        subgraphs,
        "Read the JSON schemas of subgraphs",
        requires("assistants:read"),
        query=(bool_param("recurse"),),
    ),
    Endpoint(
        "GET",
        f"{_ASSISTANT}/subgraphs/{{namespace:path}}",
        subgraphs,
        "Read the JSON schemas of one subgraph",
        requires("assistants:read"),
        query=(bool_param("recurse"),),
    ),
)
