"""API keys, for administrators. The text of a key is only in the response that creates it."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from slipway.access.operators import ADMINISTER
from slipway.api.auth.access_check import actor_of, operators
from slipway.api.bodies.api_keys import NewKeyBody
from slipway.api.bodies.body import NoBody
from slipway.api.endpoints import Endpoint, Query, int_param
from slipway.api.request_parsing import query_number, read_body, read_optional_body, reject_unknown_parameters
from slipway.api.responses import JsonResponse
from slipway.api.shared_objects import services_of
from slipway.api_keys.store import MAX_LIMIT
from slipway.clock import microseconds_of

_NO_STORE: Final = {"cache-control": "no-store"}


async def create(request: Request) -> Response:
    """Creates a key. The member `key` is its text, which is not stored and cannot be read again."""
    body, services = await read_body(request, NewKeyBody), services_of(request)
    new = await services.api_keys.create(
        scopes=body.scopes, owner=body.owner, expires=body.expires, name=body.name, by=actor_of(request)
    )
    return JsonResponse(new.key.public(new.key.created_us) | {"key": new.text}, headers=_NO_STORE)


async def list_all(request: Request) -> Response:
    """A page of keys, the newest first, also those that have ended. `next` continues it, null at the end."""
    reject_unknown_parameters(request, [query.name for query in ENDPOINTS[1].query])
    page = await services_of(request).api_keys.page(
        query_number(request, "limit", 100, 1, MAX_LIMIT), request.query_params.get("cursor") or None
    )
    return JsonResponse({"keys": [key.public(page.now_us) for key in page.keys], "next": page.next})


async def read(request: Request) -> Response:
    services = services_of(request)
    key = await services.api_keys.get(request.path_params["key_id"])
    return JsonResponse(key.public(microseconds_of(services.clock.now())))


async def revoke(request: Request) -> Response:
    """Revokes a key in all processes, and ends its open responses."""
    await read_optional_body(request, NoBody)
    services = services_of(request)
    key, changed = await services.api_keys.revoke(request.path_params["key_id"], actor_of(request))
    return JsonResponse({"key": key.public(microseconds_of(services.clock.now())), "changed": changed})


_ACCESS: Final = operators(ADMINISTER)
_KEY: Final = "/ops/keys/{key_id}"

ENDPOINTS: Final = (
    Endpoint("POST", "/ops/keys", create, "Create an API key", _ACCESS, body=NewKeyBody, stores=True),
    Endpoint(
        "GET",
        "/ops/keys",
        list_all,
        "List API keys, the newest first",
        _ACCESS,
        query=(
            int_param("limit", 100, 1, MAX_LIMIT),
            Query("cursor", {"type": "string"}, "The member `next` of the page before"),
        ),
    ),
    Endpoint("GET", _KEY, read, "Read an API key, without its text", _ACCESS),
    Endpoint("DELETE", _KEY, revoke, "Revoke an API key", _ACCESS),
)
