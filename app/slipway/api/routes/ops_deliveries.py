"""Deliveries of webhooks: what was sent, what waits, and what nobody accepted. For operators, and for owners, who see
their own."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.access.scopes import Scope
from slipway.api.auth.access_check import operators, owner_of
from slipway.api.bodies.body import NoBody
from slipway.api.bodies.deliveries import ReplayBody
from slipway.api.endpoints import Endpoint, Query, int_param
from slipway.api.request_parsing import (
    query_choice,
    query_choices,
    query_number,
    query_time_us,
    read_body,
    read_optional_body,
    reject_unknown_parameters,
)
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.clock import microseconds
from slipway.errors import InvalidRequest
from slipway.webhooks.delivery_search import DeliveryQuery
from slipway.webhooks.delivery_summary import DeliveryState

MAX_LIMIT: Final = 1000
_STATES: Final = tuple(state.value for state in DeliveryState)
_ORDERS: Final = ("newest", "oldest")


async def list_all(request: Request) -> Response:
    """A page of deliveries. `next` is the cursor of the next page, null at the end."""
    reject_unknown_parameters(request, [query.name for query in ENDPOINTS[0].query])
    texts = request.query_params
    query = DeliveryQuery(
        states=frozenset(map(DeliveryState, query_choices(request, "state", _STATES))),
        endpoint_id=texts.get("endpoint_id") or None,
        type=texts.get("type") or None,
        run_id=texts.get("run_id") or None,
        owner=_owner(request, texts.get("owner") or None),
        created_from_us=query_time_us(request, "created_after"),
        created_before_us=query_time_us(request, "created_before"),
    )
    page = await services_of(request).delivery_search.page(
        await services_of(request).deliveries.checked(query, owner_of(request)),
        limit=query_number(request, "limit", 100, 1, MAX_LIMIT),
        cursor=texts.get("cursor") or None,
        oldest_first=query_choice(request, "order", _ORDERS) == "oldest",
    )
    return JsonResponse({"deliveries": [each.public() for each in page.deliveries], "next": page.next})


async def read(request: Request) -> Response:
    """A delivery with its body and its tries, the oldest first."""
    owner = owner_of(request)
    details = await services_of(request).deliveries.get(_id(request), owner)
    return JsonResponse(details.public(for_operators=owner is None))


async def replay(request: Request) -> Response:
    """Sends a delivery again, with the same id and body. Its tries begin from the first."""
    await read_optional_body(request, NoBody)
    summary = await services_of(request).deliveries.replay(_id(request), owner_of(request))
    return JsonResponse(summary.public())


async def replay_matching(request: Request) -> Response:
    """Sends the deliveries again that match. `next` is the cursor with which the request continues, null at the
    end."""
    body = await read_body(request, ReplayBody)
    query = DeliveryQuery(
        states=frozenset({body.state}),
        endpoint_id=body.endpoint_id,
        type=body.type,
        run_id=body.run_id,
        owner=_owner(request, body.owner),
        created_from_us=_time_us("created_after", body.created_after),
        created_before_us=_time_us("created_before", body.created_before),
    )
    deliveries = services_of(request).deliveries
    query = await deliveries.checked(query, owner_of(request))
    page = await deliveries.replay_matching(query, limit=body.limit, cursor=body.cursor)
    return JsonResponse({"replayed": page.replayed, "in_progress": page.calling, "next": page.next})


def _owner(request: Request, asked: str | None) -> str | None:
    """The owner whose deliveries are listed. One who asks for those of another owner finds none, so nobody learns
    whether that owner exists."""
    owner = owner_of(request)
    if owner is None or asked in (None, owner):
        return owner or asked
    return ""


def _id(request: Request) -> str:
    return str(request.path_params["delivery_id"])


def _time_us(field: str, text: str | None) -> int | None:
    try:
        return None if text is None else microseconds(text)
    except ValueError:
        raise InvalidRequest(field, "is not a time such as 2026-01-31T12:00:00Z") from None


_TIME: Final = {"type": "string", "format": "date-time"}
_TEXT: Final = {"type": "string"}
_READ: Final = operators(OPERATE, owner_scopes=(Scope.RUNS_READ, Scope.RUNS_WRITE))
_WRITE: Final = operators(OPERATE, owner_scopes=(Scope.RUNS_WRITE,))
_ONE: Final = "/ops/deliveries/{delivery_id}"

ENDPOINTS: Final = (
    Endpoint(
        "GET",
        "/ops/deliveries",
        list_all,
        "List deliveries of webhooks",
        _READ,
        query=(
            Query("state", {"type": "array", "items": {"type": "string", "enum": list(_STATES)}}, "In these states"),
            Query("endpoint_id", _TEXT, "To this endpoint"),
            Query("type", _TEXT, "Of events of this type"),
            Query("run_id", _TEXT, "About this run"),
            Query("owner", _TEXT, "That this owner may see"),
            Query("created_after", _TIME, "Created at this time or later"),
            Query("created_before", _TIME, "Created before this time"),
            Query("order", {"type": "string", "enum": list(_ORDERS), "default": "newest"}, "Which one is the first"),
            int_param("limit", 100, 1, MAX_LIMIT),
            Query("cursor", _TEXT, "The member `next` of the page before"),
        ),
    ),
    Endpoint("POST", "/ops/deliveries/replay", replay_matching, "Send deliveries again", _WRITE, ReplayBody),
    Endpoint("GET", _ONE, read, "Read a delivery and its tries", _READ),
    Endpoint("POST", f"{_ONE}/replay", replay, "Send a delivery again", _WRITE),
)
