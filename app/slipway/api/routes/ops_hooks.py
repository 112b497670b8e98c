"""Incoming webhooks for operators: the hooks, what they have received, and handling a delivery again."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import OPERATE
from slipway.api.auth.access_check import actor_of, operators
from slipway.api.bodies.body import NoBody
from slipway.api.endpoints import Endpoint, Query, int_param
from slipway.api.hook_responses import hook_response
from slipway.api.request_parsing import query_choice, query_number, read_optional_body, reject_unknown_parameters
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import hooks_of
from slipway.errors import InvalidRequest, NotFound
from slipway.hooks.reads import Position
from slipway.hooks.record import DeliveryState
from slipway.hooks.status import hook_status
from slipway.runs.idempotency import HEADER, MAX_KEY_CHARS
from slipway.runs.record import new_id
from slipway.serialization.json_encoding import clean

MAX_LIMIT: Final = 1000
_STATES: Final = tuple(state.value for state in DeliveryState)
_DELIVERY: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_CURSOR: Final = re.compile(r"([0-9]{1,17})-([0-9a-f]{32})", re.ASCII)


async def list_all(request: Request) -> Response:
    """The hooks of langgraph.json, with counts of what became of their deliveries."""
    receiver = hooks_of(request)
    reads = receiver.handler.reads
    statuses = [await hook_status(reads, hook.config) for _, hook in sorted(receiver.hooks.items())]
    return JsonResponse({"hooks": [status.public() for status in statuses]})


async def deliveries(request: Request) -> Response:
    """A page of the deliveries of a hook, the newest first. `next` is the cursor of the next page, null at the end."""
    reject_unknown_parameters(request, [query.name for query in _PAGE])
    receiver = hooks_of(request)
    state = query_choice(request, "state", _STATES)
    page = await receiver.handler.reads.page(
        receiver.hook(request.path_params["hook"]).config.name,
        limit=query_number(request, "limit", 100, 1, MAX_LIMIT),
        after=_position(request),
        state=None if state is None else DeliveryState(state),
    )
    content: dict[str, Any] = {"deliveries": [each.public() for each in page.deliveries], "next": page.next}
    return JsonResponse(content)


def _position(request: Request) -> Position | None:
    text = request.query_params.get("cursor")
    if not text:
        return None
    match = _CURSOR.fullmatch(text)
    if match is None:
        raise InvalidRequest("cursor", "is not the member `next` of a page")
    return Position(int(match[1]), match[2])


async def read(request: Request) -> Response:
    """A delivery with its headers and its body."""
    receiver = hooks_of(request)
    hook = receiver.hook(request.path_params["hook"]).config.name
    return JsonResponse((await receiver.handler.reads.delivery(hook, _delivery(request))).public_with_body())


async def replay(request: Request) -> Response:
    """Handles a stored delivery again, by the mapping of now. The response is that to the delivery. With the same
    idempotency key the delivery is handled once."""
    await read_optional_body(request, NoBody)
    token = request.headers.get(HEADER) or new_id()
    if len(token) > MAX_KEY_CHARS:
        raise InvalidRequest(HEADER, f"must have 1 to {MAX_KEY_CHARS} characters")
    receiver, hook = hooks_of(request), request.path_params["hook"]
    receiver.hook(hook)
    return hook_response(await receiver.replay(hook, _delivery(request), actor_of(request), token))


def _delivery(request: Request) -> str:
    delivery = str(request.path_params["delivery"])
    if not _DELIVERY.fullmatch(delivery):
        raise NotFound("delivery", clean(delivery)[:100])
    return delivery


_HOOK: Final = "/ops/hooks/{hook}/deliveries"
_PAGE: Final = (
    Query("state", {"type": "string", "enum": list(_STATES)}, "In this state"),
    int_param("limit", 100, 1, MAX_LIMIT),
    Query("cursor", {"type": "string"}, "The member `next` of the page before"),
)

ENDPOINTS: Final = (
    Endpoint("GET", "/ops/hooks", list_all, "List the hooks", operators(OPERATE)),
    Endpoint("GET", _HOOK, deliveries, "List the deliveries of a hook", operators(OPERATE), query=_PAGE),
    Endpoint("GET", f"{_HOOK}/{{delivery}}", read, "Read a delivery with its body", operators(OPERATE)),
    Endpoint(
        "POST",
        f"{_HOOK}/{{delivery}}/replay",
        replay,
        "Handle a delivery again",
        operators(OPERATE),
        body=NoBody,
        status=202,
    ),
)
