"""Assistants: one a graph from the start, others as clients make them; versions, drawings and schemas."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response

from app.access.filters import EVERYTHING, Filter
from app.access.permissions import must_fit, told_metadata
from app.errors import Conflict, InvalidRequest, NotFound
from app.http.access import gate_of, needs, permit, user_of
from app.http.answers import Json, nothing
from app.http.bodies import (
    AssistantBody,
    AssistantFilterBody,
    AssistantLatestBody,
    AssistantPatchBody,
    AssistantSearchBody,
    AssistantVersionsBody,
    ConfigBody,
)
from app.http.endpoints import Endpoint, Query, flag
from app.http.inputs import ident_of, query_flag, read_body
from app.http.pages import paged, selected
from app.http.permits import permit_assistant, shown_if_readable
from app.http.wiring import services_of
from app.idempotency import HEADER
from app.project.graphs import Manifest
from app.run_making import ceilings_in, priority_in
from app.runs.cancels import Action, by_deleted_assistant
from app.services import Services
from app.stored_assistants import Assistant
from app.threads.threads import Wanted, contains

Changing = TypeVar("Changing", bound=AssistantPatchBody)


async def create(request: Request) -> Response:
    """A new assistant."""
    body, ident = await read_body(request, AssistantBody), await ident_of(request)
    _check(body)
    assistant_id = body.assistant_id or (ident if HEADER in request.headers else str(uuid4()))
    value = {"assistant_id": UUID(assistant_id), "if_exists": body.if_exists, **_told(body)}
    only = await permit(request, "assistants:create", value)
    assistants, new = services_of(request).assistants, _changed(body, value).changes()
    exist_ok = value["if_exists"] == "do_nothing"
    if exist_ok and gate_of(request).auth is not None:
        with suppress(NotFound):
            return await _existing(request, await assistants.get(assistant_id, only))
    must_fit(only, new.metadata, "assistants:create")
    assistant = await assistants.create(assistant_id, new, token=ident, exist_ok=exist_ok, only=only)
    return Json(assistant.public())


async def _existing(request: Request, assistant: Assistant) -> Response:
    """An assistant that was there: whoever may make one may not read it by that."""
    value = {"assistant_id": UUID(assistant.assistant_id), "metadata": {}}
    if not (await permit(request, "assistants:read", value)).fits(assistant.metadata):
        raise Conflict(f"assistant {assistant.assistant_id} exists already")
    return Json(assistant.public())


async def _changed_to(request: Request, assistant: Assistant) -> Response:
    """The answer to a change."""
    value = {"assistant_id": UUID(assistant.assistant_id), "metadata": {}}
    return await shown_if_readable(
        request, "assistants:read", value, assistant.metadata, lambda: Json(assistant.public())
    )


async def patch(request: Request) -> Response:
    """A new version."""
    body, ident = await read_body(request, AssistantPatchBody), await ident_of(request)
    _check(body)
    _, value = await permit_assistant(request, "assistants:update", _ident(request), version=None, **_told(body))
    changes = _changed(body, value).changes()
    return await _changed_to(
        request, await services_of(request).assistants.patch(_ident(request), changes, token=ident)
    )


def _told(body: AssistantPatchBody) -> dict[str, Any]:
    """What authorize handlers are shown of it."""
    return {
        "graph_id": body.graph_id,
        "name": body.name,
        "description": body.description,
        "config": None if body.config is None else body.config.given(),
        "context": body.context,
        "metadata": body.metadata,
    }


def _changed(body: Changing, value: dict[str, Any]) -> Changing:
    """The body as a handler left it."""
    shown = _told(body) | {name: value.get(name) for name in _told(body)} | {"metadata": told_metadata(value)}
    if shown == _told(body):
        return body
    config = None if shown["config"] is None else ConfigBody.model_construct(**shown["config"])
    return body.model_copy(update=shown | {"config": config})


def _check(body: AssistantPatchBody) -> None:
    """What would make every run of it fail is refused at once."""
    configurable = body.context or (body.config.configurable if body.config else {})
    ceilings_in({"configurable": configurable})
    priority_in(configurable)


async def delete(request: Request) -> Response:
    """Remove an assistant, and its threads when asked to; its runs in flight are cancelled."""
    services, assistant_id, threads = services_of(request), _ident(request), query_flag(request, "delete_threads")
    await permit_assistant(request, "assistants:delete", assistant_id)
    only = await permit(request, "threads:delete", {"thread_id": None}) if threads else EVERYTHING
    await services.assistants.delete(assistant_id)
    await services.crons.delete_of(assistant_id)
    await _cancel_runs(services, assistant_id)
    if threads:
        await _delete_threads(services, assistant_id, only)
    return nothing()


async def _cancel_runs(services: Services, assistant_id: str) -> None:
    # read to the end first: what is cancelled moves what is read
    for run in [run async for run in services.in_flight.runs() if run.assistant_id == assistant_id]:
        with suppress(NotFound):
            cause = by_deleted_assistant(assistant_id)
            await services.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT, cause)


async def _delete_threads(services: Services, assistant_id: str, only: Filter) -> None:
    wanted = Wanted(metadata={"assistant_id": assistant_id}, only=only)
    while found := await services.threads.search(wanted, limit=100):
        for thread in found:
            with suppress(NotFound):
                await services.threads.delete(thread.thread_id, thread.incarnation)


async def search(request: Request) -> Response:
    """A page of assistants."""
    body = await read_body(request, AssistantSearchBody)
    metadata, only = await _wanted(request, body, limit=body.limit, offset=body.offset)
    found = await services_of(request).assistants.search(
        metadata=metadata,
        only=only,
        graph_id=body.graph_id,
        name=body.name,
        sort_by=body.sort_by,
        descending=body.sort_order == "desc",
    )
    page = found[body.offset : body.offset + body.limit]
    shown = selected([assistant.public() for assistant in page], body.select)
    return paged(shown, offset=body.offset, limit=body.limit, total=len(found))


async def count(request: Request) -> Response:
    """How many assistants fit."""
    body = await read_body(request, AssistantFilterBody)
    metadata, only = await _wanted(request, body)
    found = await services_of(request).assistants.search(
        metadata=metadata, graph_id=body.graph_id, name=body.name, only=only
    )
    return Json(len(found))


async def _wanted(request: Request, body: AssistantFilterBody, **page: int) -> tuple[dict[str, Any], Filter]:
    """The metadata that is searched for, as the handler leaves it, and what the caller may see."""
    value = {"graph_id": body.graph_id, "metadata": body.metadata or {}, **page}
    only = await permit(request, "assistants:search", value)
    return told_metadata(value), only


async def read(request: Request) -> Response:
    """One assistant."""
    return Json((await _read(request)).public())


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
    await permit_assistant(request, "assistants:update", _ident(request), version=body.version, metadata={})
    return await _changed_to(request, await services_of(request).assistants.choose(_ident(request), body.version))


async def graph(request: Request) -> Response:
    """The drawing."""
    xray = _xray(request)
    return Json((await _manifest(request)).public_graph(xray))


async def schemas(request: Request) -> Response:
    """JSON schemas of input, output, state, config and context."""
    return Json((await _manifest(request)).public_schemas())


async def subgraphs(request: Request) -> Response:
    """Schemas of subgraphs, by namespace."""
    recurse = query_flag(request, "recurse")
    manifest = await _manifest(request)
    return Json(manifest.public_subgraphs(request.path_params.get("namespace"), recurse))


async def _manifest(request: Request) -> Manifest:
    return await services_of(request).assistants.manifest(await _read(request), user_of(request))


async def _read(request: Request) -> Assistant:
    """The assistant of the path, if the caller may read it."""
    assistant, _ = await permit_assistant(request, "assistants:read", _ident(request), metadata={})
    return assistant


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
_WITH_THREADS: Final = flag("delete_threads", "Remove the threads whose last run was one of this assistant too")

ENDPOINTS: Final = (
    Endpoint(
        "POST",
        "/assistants",
        create,
        "A new assistant",
        needs("assistants:create", may=("assistants:read",)),
        body=AssistantBody,
    ),
    Endpoint(
        "POST",
        "/assistants/search",
        search,
        "A page of assistants",
        needs("assistants:search"),
        body=AssistantSearchBody,
    ),
    Endpoint(
        "POST",
        "/assistants/count",
        count,
        "How many assistants fit",
        needs("assistants:search"),
        body=AssistantFilterBody,
    ),
    Endpoint(
        "GET",
        _ONE,
        read,
        "One assistant, by id or graph name",
        needs("assistants:read"),
    ),
    Endpoint(
        "PATCH",
        _ONE,
        patch,
        "A new version of an assistant",
        needs("assistants:update", "assistants:read"),
        body=AssistantPatchBody,
    ),
    Endpoint(
        "DELETE",
        _ONE,
        delete,
        "Remove an assistant",
        needs("assistants:delete", may=("threads:delete",)),
        answers="",
        status=204,
        query=(_WITH_THREADS,),
    ),
    Endpoint(
        "POST",
        f"{_ONE}/versions",
        versions,
        "Its versions, newest first",
        needs("assistants:read"),
        body=AssistantVersionsBody,
    ),
    Endpoint(
        "POST",
        f"{_ONE}/latest",
        latest,
        "Make a version the present one",
        needs("assistants:update", "assistants:read"),
        body=AssistantLatestBody,
        bare=204,
    ),
    Endpoint(
        "GET",
        f"{_ONE}/graph",
        graph,
        "The drawing of its graph",
        needs("assistants:read"),
        query=(Query("xray", {"type": "string", "default": "false"}, "true, false, or levels of subgraphs to open"),),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/schemas",
        schemas,
        "JSON schemas of its graph",
        needs("assistants:read"),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/subgraphs",
        subgraphs,
        "Schemas of subgraphs",
        needs("assistants:read"),
        query=(flag("recurse"),),
    ),
    Endpoint(
        "GET",
        f"{_ONE}/subgraphs/{{namespace:path}}",
        subgraphs,
        "Schemas of one subgraph",
        needs("assistants:read"),
        query=(flag("recurse"),),
    ),
)
