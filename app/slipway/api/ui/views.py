"""The pages: the graphs and recent runs, a form for a graph, a thread, a run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.handler_values.threads import ThreadsSearch
from slipway.access.operators import OPERATE, is_operator
from slipway.api.auth.access_check import authorize, user_of
from slipway.api.auth.authorization import authorize_read, read_assistant, read_value, readable_run, thread_query
from slipway.api.request_parsing import checked_uuid, path_id
from slipway.api.responses import status_of
from slipway.api.shared_objects import services_of
from slipway.api.ui.forms import fields_of
from slipway.api.ui.phase_texts import thread_text
from slipway.api.ui.rendering import page
from slipway.api.ui.run_updates import readable_run as run_of_path
from slipway.api.ui.run_updates import run_view
from slipway.api.ui.summaries import duration, input_summary
from slipway.errors import (
    AccessRefused,
    AuthBroken,
    InvalidRequest,
    NotFound,
    RateLimited,
    SlipwayError,
    Unavailable,
)
from slipway.graphs.spec import GraphSpec
from slipway.rollouts.status import RolloutStatus
from slipway.runs.record import Phase, Run
from slipway.services import Services
from slipway.threads.record import Thread

_THREADS: Final = 12
_RUNS_EACH: Final = 3
_RUNS: Final = 20

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Row:
    """A run in a list. `waits_for` is the time since which it waits for an answer; empty if it does not wait."""

    run: Run
    about: str
    age: str
    waits_for: str = ""


def as_page(handler: Handler) -> Handler:
    """Shows errors as pages."""

    @wraps(handler)
    async def handled(request: Request) -> Response:
        try:
            return await handler(request)
        except AuthBroken:
            raise
        except SlipwayError as error:
            status = 404 if isinstance(error, InvalidRequest) else status_of(error)
            response = _error_page(request, status, str(error), retryable=error.retryable)
            if isinstance(error, RateLimited | Unavailable):
                response.headers["retry-after"] = str(error.retry_after_s)
            return response

    return handled


def _error_page(request: Request, status: int, detail: str, *, retryable: bool = False) -> Response:
    return page(request, "error.html", status, retryable=retryable, title=HTTPStatus(status).phrase, detail=detail)


@as_page
async def home(request: Request) -> Response:
    """The graphs and the recent runs."""
    services = services_of(request)
    runs = await _recent_runs(request)
    graphs: list[GraphSpec] = [services.graphs.spec(name) for name in services.graphs.names()]
    return page(request, "home.html", graphs=graphs, failures=sorted(services.graphs.failures()), **runs)


@as_page
async def recent(request: Request) -> Response:
    """The list of recent runs, which the home page reloads."""
    return page(request, "recent.html", **await _recent_runs(request))


async def _recent_runs(request: Request) -> dict[str, Any]:
    services = services_of(request)
    every = ThreadsSearch.model_construct(metadata={}, values={}, status=None, limit=_THREADS, offset=0)
    value, access_filter = await authorize(request, every)
    query = thread_query(value, access_filter)
    threads = (await services.threads.search(query, limit=value.limit, offset=value.offset)).records
    readable = [thread for thread in threads if await _is_readable(request, thread)]
    lists = await asyncio.gather(*(_runs_of(services, thread.thread_id) for thread in readable))
    newest = sorted((run for runs in lists for run in runs), key=lambda run: run.created_at, reverse=True)
    return {"rows": [_row(services, run) for run in newest[:_RUNS]], "health": services.health.latest}


async def _is_readable(request: Request, thread: Thread) -> bool:
    """Whether the user is authorized to read the runs of a thread that the search returned."""
    try:
        _, access_filter = await authorize(request, read_value(thread.thread_id))
        return access_filter.matches(thread.metadata)
    except AccessRefused:
        return False


async def _runs_of(services: Services, thread_id: str) -> list[Run]:
    try:
        return await services.runs.list(thread_id, limit=_RUNS_EACH)
    except NotFound:  # deleted in between
        return []


def _row(services: Services, run: Run) -> Row:
    now = services.clock.now()
    waits_for = duration(now, run.updated_at) if run.phase is Phase.WAITING_FOR_APPROVAL else ""
    return Row(run, input_summary(run.options), f"{duration(now, run.created_at)} ago", waits_for)


@as_page
async def graph(request: Request) -> Response:
    """A form that starts a run. `thread` names the thread of the run; `from` names a run whose input fills the form."""
    services, graph_id = services_of(request), request.path_params["graph_id"]
    await read_assistant(request, graph_id)
    spec, manifest = services.graphs.spec(graph_id), await services.graphs.manifest(graph_id)
    thread_id = request.query_params.get("thread", "")
    earlier = await _earlier_run(request, request.query_params.get("from", ""))
    data = {
        "graph_id": graph_id,
        "input": earlier.options.input if earlier else None,
        "context": earlier.options.context if earlier else None,
    }
    return page(
        request,
        "graph.html",
        spec=spec,
        manifest=manifest,
        fields=fields_of(manifest.schemas.input, "input"),
        context_fields=fields_of(manifest.schemas.context, "context"),
        thread_id=thread_id,
        data=data,
        schema=manifest.schemas.input,
        rollout=await _rollout(request, graph_id),
    )


async def _rollout(request: Request, graph_id: str) -> RolloutStatus | None:
    """The rollout of a graph, if it has one and the user is an operator."""
    services, user = services_of(request), user_of(request)
    if services.rollout_watch.of(graph_id) is None or not is_operator(user, OPERATE):
        return None
    try:
        return await services.rollouts.status(graph_id)
    except NotFound:  # cleared in between
        return None


async def _earlier_run(request: Request, run_id: str) -> Run | None:
    if not run_id:
        return None
    return await readable_run(request, checked_uuid(run_id, "from"))


@as_page
async def thread(request: Request) -> Response:
    """A thread's runs and its state."""
    services, thread_id = services_of(request), path_id(request, "thread_id")
    await authorize_read(request, thread_id)
    found, runs = await asyncio.gather(services.threads.get(thread_id), services.runs.list(thread_id, limit=_RUNS * 5))
    return page(
        request,
        "thread.html",
        thread=found,
        status_text=thread_text(found.status),
        rows=[_row(services, run) for run in runs],
        data={"values": found.values},
    )


@as_page
async def run(request: Request) -> Response:
    services = services_of(request)
    found = await run_of_path(request)
    outputs, chats = await _output_info(services, found.graph_id)
    data = {
        "view": await run_view(request, found),
        "input": found.options.input,
        "command": found.options.command,
        "context": found.options.context,
        "outputs": outputs,
        "chats": chats,
    }
    return page(request, "run.html", run=found, about=input_summary(found.options), chats=chats, data=data)


async def _output_info(services: Services, graph_id: str) -> tuple[list[str], bool]:
    """The names of the graph's outputs, and whether its input is a conversation. Empty if the graph cannot be
    served any longer."""
    try:
        schemas = (await services.graphs.manifest(graph_id)).schemas
    except SlipwayError:
        return [], False
    outputs = [field.name for field in fields_of(schemas.output, "output")]
    return outputs, any(field.kind == "chat" for field in fields_of(schemas.input, "input"))


async def not_found(request: Request) -> Response:
    return _error_page(request, 404, f"There is no page {request.url.path}")
