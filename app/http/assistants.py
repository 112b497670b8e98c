"""Assistants: one a graph from the start, others as clients make them; versions, drawings and schemas."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from app.errors import InvalidRequest, NotFound
from app.graphs import Manifest
from app.http.answers import Json, nothing
from app.http.bodies import (
    AssistantBody,
    AssistantFilterBody,
    AssistantLatestBody,
    AssistantPatchBody,
    AssistantSearchBody,
    AssistantVersionsBody,
)
from app.http.endpoints import Endpoint, Query, flag
from app.http.inputs import ident_of, query_flag, read_body, read_optional_body
from app.http.pages import paged, selected
from app.http.wiring import services_of
from app.idempotency import HEADER
from app.run_requests import ceilings_in
from app.runs import Action
from app.services import Services
from app.threads import Wanted, contains


async def create(request: Request) -> Response:
    """A new assistant."""
    body, ident = await read_body(request, AssistantBody), await ident_of(request)
    _check(body)
    assistant = await services_of(request).assistants.create(
        body.assistant_id or (ident if HEADER in request.headers else str(uuid4())),
        body.changes(),
        token=ident,
        exist_ok=body.if_exists == "do_nothing",
    )
    return Json(assistant.public())


async def patch(request: Request) -> Response:
    """A new version."""
    body, ident = await read_body(request, AssistantPatchBody), await ident_of(request)
    _check(body)
    return Json((await services_of(request).assistants.patch(_ident(request), body.changes(), token=ident)).public())


def _check(body: AssistantPatchBody) -> None:
    """What would make every run of it fail is refused at once."""
    ceilings_in({"configurable": body.context or (body.config.configurable if body.config else {})})


async def delete(request: Request) -> Response:
    """Remove an assistant, and its threads when asked to; its runs in flight are cancelled."""
    services, assistant_id, threads = services_of(request), _ident(request), query_flag(request, "delete_threads")
    await services.assistants.delete(assistant_id)
    await services.crons.delete_of(assistant_id)
    await _cancel_runs(services, assistant_id)
    if threads:
        await _delete_threads(services, assistant_id)
    return nothing()


async def _cancel_runs(services: Services, assistant_id: str) -> None:
    # read to the end first: what is cancelled moves what is read
    for run in [run async for run in services.in_flight.runs() if run.assistant_id == assistant_id]:
        with suppress(NotFound):
            why = "its assistant was deleted"
            await services.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT, reason=why)


async def _delete_threads(services: Services, assistant_id: str) -> None:
    wanted = Wanted(metadata={"assistant_id": assistant_id})
    while found := await services.threads.search(wanted, limit=100):
        for thread in found:
            with suppress(NotFound):
                await services.threads.delete(thread.thread_id)


async def search(request: Request) -> Response:
    """A page of assistants."""
    body = await read_optional_body(request, AssistantSearchBody)
    found = await services_of(request).assistants.search(
        metadata=body.metadata,
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
    body = await read_optional_body(request, AssistantFilterBody)
    found = await services_of(request).assistants.search(metadata=body.metadata, graph_id=body.graph_id, name=body.name)
    return Json(len(found))


async def read(request: Request) -> Response:
    """One assistant."""
    return Json((await services_of(request).assistants.get(_ident(request))).public())


async def versions(request: Request) -> Response:
    """A page of its versions, newest first."""
    body = await read_optional_body(request, AssistantVersionsBody)
    every = await services_of(request).assistants.versions(_ident(request))
    found = [version for version in every if contains(version.metadata, body.metadata or {})]
    page = [version.public_version() for version in found[body.offset : body.offset + body.limit]]
    return paged(page, offset=body.offset, limit=body.limit, total=len(found))


async def latest(request: Request) -> Response:
    """Make a version the present one."""
    body = await read_body(request, AssistantLatestBody)
    return Json((await services_of(request).assistants.choose(_ident(request), body.version)).public())


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
    assistants = services_of(request).assistants
    return await assistants.manifest(await assistants.get(_ident(request)))


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
    Endpoint("POST", "/assistants", create, "A new assistant", body=AssistantBody),
    Endpoint("POST", "/assistants/search", search, "A page of assistants", body=AssistantSearchBody),
    Endpoint("POST", "/assistants/count", count, "How many assistants fit", body=AssistantFilterBody),
    Endpoint("GET", _ONE, read, "One assistant, by id or graph name"),
    Endpoint("PATCH", _ONE, patch, "A new version of an assistant", body=AssistantPatchBody),
    Endpoint("DELETE", _ONE, delete, "Remove an assistant", answers="", status=204, query=(_WITH_THREADS,)),
    Endpoint("POST", f"{_ONE}/versions", versions, "Its versions, newest first", body=AssistantVersionsBody),
    Endpoint("POST", f"{_ONE}/latest", latest, "Make a version the present one", body=AssistantLatestBody),
    Endpoint(
        "GET",
        f"{_ONE}/graph",
        graph,
        "The drawing of its graph",
        query=(Query("xray", {"type": "string", "default": "false"}, "true, false, or levels of subgraphs to open"),),
    ),
    Endpoint("GET", f"{_ONE}/schemas", schemas, "JSON schemas of its graph"),
    Endpoint("GET", f"{_ONE}/subgraphs", subgraphs, "Schemas of subgraphs", query=(flag("recurse"),)),
    Endpoint(
        "GET", f"{_ONE}/subgraphs/{{namespace:path}}", subgraphs, "Schemas of one subgraph", query=(flag("recurse"),)
    ),
)
