"""The list of runs across threads, for operators and dashboards.

A user receives the runs of those threads that the user may search.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.filters import AccessFilter
from slipway.access.handler_values.threads import AllRunsSearch
from slipway.api.auth.access_check import authorize, requires
from slipway.api.endpoints import Endpoint, Query, int_param, list_param
from slipway.api.pagination import selected
from slipway.api.request_parsing import (
    query_choice,
    query_choices,
    query_names,
    query_number,
    query_time_us,
    reject_unknown_parameters,
)
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.errors import InvalidRequest
from slipway.json_comparison import contains
from slipway.runs.record import PUBLIC_MEMBERS, Phase, Run
from slipway.runs.run_cursor import Conditions, OtherConditions, cursor_of, position_of
from slipway.runs.run_position import RunPosition
from slipway.runs.search import RunQuery, Visible
from slipway.serialization.json_encoding import clean
from slipway.services import Services

MAX_LIMIT: Final = 1000
ORDERS: Final = ("newest", "oldest")

_PHASES: Final = tuple(phase.value for phase in Phase)


async def list_all(request: Request) -> Response:
    """A page of runs. `next` is the cursor of the next page, null at the end."""
    reject_unknown_parameters(request, [query.name for query in ENDPOINTS[0].query])
    services, select = services_of(request), _selected(request)
    order, query = query_choice(request, "order", ORDERS), _query(request)
    conditions = _conditions(query, order)
    after = _position(request, conditions)
    request_value = AllRunsSearch.model_construct(
        thread_id=None, metadata={}, status=None, limit=query_number(request, "limit", 100, 1, MAX_LIMIT), offset=0
    )
    value, access_filter = await authorize(request, request_value)
    visible = None if value == request_value and not access_filter else _visible(services, value, access_filter)
    page = await services.run_search.page(
        query, limit=value.limit, after=after, oldest_first=order == "oldest", visible=visible
    )
    runs = selected([run.public() | {"owner": run.owner} for run in page.runs], select)
    return JsonResponse({"runs": runs, "next": None if page.next is None else cursor_of(page.next, conditions)})


def _visible(services: Services, value: AllRunsSearch, access_filter: AccessFilter) -> Visible:
    """Which runs match what the authorize handler wrote, and are on threads that match its filter."""

    async def visible(runs: Sequence[Run]) -> list[bool]:
        threads = list({run.thread_id for run in runs})
        accessible = await asyncio.gather(*(services.threads.has_access(each, access_filter) for each in threads))
        shown = dict(zip(threads, accessible, strict=True))
        return [
            shown[run.thread_id] and value.status in (None, run.status) and contains(run.metadata, value.metadata)
            for run in runs
        ]

    return visible


def _query(request: Request) -> RunQuery:
    texts = request.query_params
    assistant = texts.get("assistant_id")
    return RunQuery(
        phases=frozenset(map(Phase, query_choices(request, "phase", _PHASES))),
        graph_id=texts.get("graph_id") or None,
        assistant_id=services_of(request).assistants.resolve_id(assistant) if assistant else None,
        owner=texts.get("owner") or None,
        error_code=texts.get("error_code") or None,
        created_from_us=query_time_us(request, "created_after"),
        created_before_us=query_time_us(request, "created_before"),
    )


def _conditions(query: RunQuery, order: str | None) -> Conditions:
    """What must be the same for all pages of a list, by the names of the parameters."""
    return {
        "phase": sorted(query.phases),
        "graph_id": query.graph_id,
        "assistant_id": query.assistant_id,
        "owner": query.owner,
        "error_code": query.error_code,
        "created_after": query.created_from_us,
        "created_before": query.created_before_us,
        "order": order or ORDERS[0],
    }


def _position(request: Request, conditions: Conditions) -> RunPosition | None:
    cursor = request.query_params.get("cursor")
    if not cursor:
        return None
    try:
        return position_of(cursor, conditions)
    except OtherConditions as other:
        detail = "differs from the request for the page whose `next` is the cursor; a page continues the same list"
        raise InvalidRequest(other.name, detail) from None
    except ValueError:
        raise InvalidRequest("cursor", "is not the member `next` of a page") from None


def _selected(request: Request) -> list[str]:
    select = query_names(request, "select")
    if unknown := set(select) - PUBLIC_MEMBERS - {"owner"}:
        raise InvalidRequest("select", f"{clean(min(unknown))!r} is not a field of a run")
    return select


_TIME: Final = {"type": "string", "format": "date-time"}
_TEXT: Final = {"type": "string"}

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/ops/runs",
        list_all,
        "List runs across threads",
        requires("threads:search"),
        query=(
            Query("phase", {"type": "array", "items": {"type": "string", "enum": list(_PHASES)}}, "In these phases"),
            Query("graph_id", _TEXT),
            Query("assistant_id", _TEXT, "The id of an assistant, or the name of a graph"),
            Query("owner", _TEXT, "The identity of the user for whom the run executes"),
            Query("error_code", _TEXT, "That failed with this code"),
            Query("created_after", _TIME, "Created at this time or later"),
            Query("created_before", _TIME, "Created before this time"),
            Query("order", {"type": "string", "enum": list(ORDERS), "default": "newest"}, "Which run is the first"),
            int_param("limit", 100, 1, MAX_LIMIT),
            Query("cursor", _TEXT, "The member `next` of the page before"),
            list_param("select", "Members of the runs"),
        ),
    ),
)
