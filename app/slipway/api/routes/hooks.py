"""Receives incoming webhooks. Their signature authenticates them: no user, and none of the rules for open servers about
hosts, origins and content types."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from slipway.api.auth.access_check import PUBLIC
from slipway.api.endpoints import Endpoint
from slipway.api.hook_responses import hook_response
from slipway.api.shared_objects import hooks_of
from slipway.hooks.loaded_hooks import LoadedHook
from slipway.hooks.receiving import Challenge, too_large


async def receive(request: Request) -> Response:
    """Starts or resumes a run, or decides a review, by the mapping of the hook."""
    receiver, name = hooks_of(request), request.path_params["hook"]
    body = await _body(request, receiver.hook(name))
    headers = {header.decode("latin-1"): value.decode("latin-1") for header, value in request.scope["headers"]}
    answer = await receiver.receive(name, headers, body)
    return PlainTextResponse(answer.text) if isinstance(answer, Challenge) else hook_response(answer)


async def _body(request: Request, hook: LoadedHook) -> bytes:
    """The bytes of the body, of which no more than the hook permits are received."""
    most_bytes = hook.config.section.max_bytes
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > most_bytes:
        raise too_large(hook)
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > most_bytes:
            raise too_large(hook)
    return bytes(received)


ENDPOINTS: Final = (Endpoint("POST", "/hooks/{hook}", receive, "Receive an incoming webhook", PUBLIC, status=202),)
