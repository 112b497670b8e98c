"""Receives incoming webhooks. Their signature authenticates them: no user, and none of the rules for open servers about
hosts, origins and content types."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from slipway.api.auth.access_check import PUBLIC
from slipway.api.auth.rates import count_user, counted_by_address
from slipway.api.endpoints import Endpoint
from slipway.api.hook_responses import hook_response
from slipway.api.shared_objects import hooks_of
from slipway.hooks.handling import user_of_hook
from slipway.hooks.loaded_hooks import LoadedHook
from slipway.hooks.receiving import Challenge, HookReceiver, too_large


async def receive(request: Request) -> Response:
    """Starts or resumes a run, or decides a review, by the mapping of the hook. Where access is controlled, requests
    without a valid signature are counted for their address, and the others for the user of the hook."""
    receiver = hooks_of(request)
    hook = receiver.hook(request.path_params["hook"])
    headers = {header.decode("latin-1"): value.decode("latin-1") for header, value in request.scope["headers"]}
    async with _counting(request, receiver):
        incoming = await receiver.verified(hook, headers, await _body(request, hook))
    if isinstance(incoming, Challenge):
        return PlainTextResponse(incoming.text)
    if receiver.controls_access:
        await count_user(request, user_of_hook(hook.config))
    return hook_response(await receiver.handle(hook, incoming))


def _counting(request: Request, receiver: HookReceiver) -> AbstractAsyncContextManager[None]:
    """An open server has counted the request already, by its address."""
    return counted_by_address(request) if receiver.controls_access else nullcontext()


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
