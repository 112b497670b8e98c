"""Webhook endpoints, for administrators: which events are sent to which URLs."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import ADMINISTER
from slipway.api.auth.access_check import actor_of, operators
from slipway.api.bodies.body import NoBody
from slipway.api.bodies.run_operations import OperatorBody
from slipway.api.bodies.webhook_endpoints import EndpointBody, EndpointChangeBody, RotationBody
from slipway.api.endpoints import Endpoint
from slipway.api.request_parsing import read_body, read_optional_body
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.serialization.json_encoding import dumps
from slipway.webhook_endpoints.event_types import SUBSCRIBABLE
from slipway.webhook_endpoints.store import WithSecret

_NO_STORE: Final = {"cache-control": "no-store"}
"""For a response with a secret."""


async def list_all(request: Request) -> Response:
    """The endpoints, the oldest first, and the types that one can be subscribed to."""
    store = services_of(request).webhook_endpoints
    now_us = store.now_us()
    endpoints = [endpoint.public(now_us) for endpoint in await store.all()]
    return JsonResponse({"endpoints": endpoints, "types": list(SUBSCRIBABLE)})


async def add(request: Request) -> Response:
    """Adds an endpoint. The response is the only one that has the secret of a generated key of `v1`."""
    body = await read_body(request, EndpointBody)
    made = await services_of(request).webhook_endpoints.add(
        body.change(), by=actor_of(request), kind=body.key_kind, secret=body.secret
    )
    return _with_secret(request, made)


async def read(request: Request) -> Response:
    """One endpoint."""
    store = services_of(request).webhook_endpoints
    return JsonResponse((await store.get(_id(request))).public(store.now_us()))


async def update(request: Request) -> Response:
    """Changes the members that the body has."""
    body, store = await read_body(request, EndpointChangeBody), services_of(request).webhook_endpoints
    endpoint = await store.update(_id(request), body.change(), by=actor_of(request))
    return JsonResponse(endpoint.public(store.now_us()))


async def rotate(request: Request) -> Response:
    """Makes a new key. The response is the only one that has its secret."""
    body = await read_optional_body(request, RotationBody)
    made = await services_of(request).webhook_endpoints.rotate(
        _id(request), by=actor_of(request), kind=body.key_kind, secret=body.secret, overlap_s=body.overlap_s
    )
    return _with_secret(request, made)


async def enable(request: Request) -> Response:
    """Events are sent from now on."""
    await read_optional_body(request, NoBody)
    store = services_of(request).webhook_endpoints
    return JsonResponse((await store.enable(_id(request), by=actor_of(request))).public(store.now_us()))


async def disable(request: Request) -> Response:
    """No events are sent any more."""
    body, store = await read_optional_body(request, OperatorBody), services_of(request).webhook_endpoints
    endpoint = await store.disable(_id(request), by=actor_of(request), reason=body.reason)
    return JsonResponse(endpoint.public(store.now_us()))


async def send_test(request: Request) -> Response:
    """Sends a test event. The response names its delivery."""
    await read_optional_body(request, NoBody)
    delivery_id = await services_of(request).webhook_endpoints.test(_id(request), by=actor_of(request))
    return JsonResponse({"delivery_id": delivery_id})


async def remove(request: Request) -> Response:
    """Removes the endpoint. What waits for it is not sent any more."""
    await read_optional_body(request, NoBody)
    await services_of(request).webhook_endpoints.remove(_id(request), by=actor_of(request))
    return JsonResponse({"ok": True})


def _id(request: Request) -> str:
    endpoint_id: str = request.path_params["endpoint_id"]
    return endpoint_id


def _with_secret(request: Request, made: WithSecret) -> Response:
    shown: dict[str, Any] = made.endpoint.public(services_of(request).webhook_endpoints.now_us())
    # not `JsonResponse`: a rule of the project that replaces secrets would replace the only copy of this one
    body = dumps(shown | {"secret": made.secret})
    return Response(body, media_type="application/json", headers=_NO_STORE)


_ACCESS: Final = operators(ADMINISTER)
_ALL: Final = "/ops/webhooks"
_ONE: Final = "/ops/webhooks/{endpoint_id}"

ENDPOINTS: Final = (
    Endpoint("GET", _ALL, list_all, "List webhook endpoints", _ACCESS),
    Endpoint("POST", _ALL, add, "Add a webhook endpoint", _ACCESS, body=EndpointBody, stores=True),
    Endpoint("GET", _ONE, read, "Read a webhook endpoint", _ACCESS),
    Endpoint("PATCH", _ONE, update, "Change a webhook endpoint", _ACCESS, body=EndpointChangeBody),
    Endpoint("DELETE", _ONE, remove, "Remove a webhook endpoint", _ACCESS),
    Endpoint("POST", f"{_ONE}/rotate", rotate, "Make a new key of a webhook endpoint", _ACCESS, body=RotationBody),
    Endpoint("POST", f"{_ONE}/enable", enable, "Enable a webhook endpoint", _ACCESS),
    Endpoint("POST", f"{_ONE}/disable", disable, "Disable a webhook endpoint", _ACCESS, body=OperatorBody),
    Endpoint("POST", f"{_ONE}/test", send_test, "Send a test event to a webhook endpoint", _ACCESS),
)
