"""The event protocol over a WebSocket: commands in, answers and the events of subscriptions out.

Nothing queues up for a client: the thread is read at the pace at which the client takes what is sent.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import Any, Final

import structlog
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from slipway.access.permissions import is_handler_failure
from slipway.api.auth.access_check import access_check_of, with_socket_access_check
from slipway.api.bodies.events import CommandFrame, SubscribeParams, UnsubscribeParams
from slipway.api.host_app.extensions import Extensions
from slipway.api.lifespan_state import services_of
from slipway.api.request_parsing import checked_uuid, parsed, validated
from slipway.api.responses import status_of
from slipway.api.routes.event_commands import Asked, Refused, answered, params_of, refusal, success
from slipway.api.streams.access_watch import Check
from slipway.api.streams.event_access import COMMANDS, may_read
from slipway.api.streams.socket_subscriptions import SocketSubscriptions, Subscription
from slipway.api.websocket_close import CLOSED_BY_STATUS, close_reason
from slipway.errors import (
    AccessRefused,
    AuthBroken,
    InvalidRequest,
    NotFound,
    RefusedRequest,
    SlipwayError,
    Unavailable,
)
from slipway.event_protocol.run_translator import base_number
from slipway.runs.record import new_id
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.threads.notifications import NotificationKind

log = structlog.get_logger(__name__)

BROKEN: Final = 1011
MOST_SUBSCRIPTIONS: Final = 100


async def connect(websocket: WebSocket) -> None:
    """One client, until it leaves."""
    thread_id = checked_uuid(websocket.path_params["thread_id"], "thread_id")
    check = await may_read(websocket, thread_id)
    await websocket.accept()
    services = services_of(websocket)
    conversation = _Conversation(websocket, services, thread_id, check)
    with ExitStack() as watched:
        if access_check_of(websocket).auth is not None:
            watched.enter_context(services.thread_notifications.listening(thread_id, conversation.woken))
        try:
            await conversation.listen()
        except WebSocketDisconnect:
            pass
        finally:
            await conversation.end()


class _Conversation:
    """The commands of one client, and the events that it subscribed to."""

    def __init__(self, websocket: WebSocket, services: Services, thread_id: str, check: Check) -> None:
        self._websocket, self._services, self._thread_id = websocket, services, thread_id
        self._check, self._checks, self._closed = check, set[asyncio.Task[None]](), False
        self._feed = SocketSubscriptions(
            services.protocol_log, thread_id, send=self._send, check=check, on_broken=self._close_broken
        )

    async def listen(self) -> None:
        """Carry out the client's commands in order, and answer each. Raises `WebSocketDisconnect`."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            raw = message.get("text") or message.get("bytes") or ""
            async with self._feed.command():
                await self._perform(raw.encode("utf-8", "replace") if isinstance(raw, str) else raw)

    def woken(self, wake: NotificationKind) -> None:
        """When the metadata of the thread may have changed: ask again whether the client may read it."""
        if wake is not NotificationKind.EVENT:
            check = asyncio.create_task(self._ask_again(), name="access")
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)

    async def _ask_again(self) -> None:
        """Nothing is sent meanwhile."""
        async with self._feed.silence():
            try:
                await self._check()
            except Exception as error:
                await self._close_broken(error)

    async def _may_go_on(self) -> bool:
        """Whether the client may read the thread now; else the socket is closed. Raises `Unavailable`."""
        try:
            await self._check()
        except Unavailable:
            raise
        except SlipwayError as error:
            await self._close_broken(error)
            return False
        return True

    async def end(self) -> None:
        """Stop following the thread."""
        for check in tuple(self._checks):
            check.cancel()
        await self._feed.aclose()

    async def _send(self, frame: bytes) -> None:
        await self._websocket.send({"type": "websocket.send", "text": frame.decode()})

    async def _perform(self, raw: bytes) -> None:
        """Carry out one command and send its answer."""
        try:
            command = validated(CommandFrame, parsed(raw))
        except InvalidRequest as error:
            return await self._feed.send(dumps(refusal(None, "invalid_argument", str(error))))
        try:
            if not await self._may_go_on():
                return None
            if command.method in ("subscription.subscribe", "subscription.reconnect"):
                return await self._subscribe(command)
            answer = await self._answered(command)
        except Refused as error:
            answer = refusal(command.id, error.code, str(error))
        except AccessRefused as error:
            answer = refusal(command.id, "permission_denied", str(error))
        except AuthBroken:
            log.exception("auth.failed", path=self._websocket.url.path)
            answer = refusal(command.id, "unknown_error", "the server could not find out whether this is allowed")
        except Unavailable as error:
            answer = refusal(command.id, "unknown_error", str(error))
        return await self._feed.send(dumps(answer))

    async def _answered(self, command: CommandFrame) -> dict[str, Any]:
        if command.method == "subscription.unsubscribe":
            return await self._unsubscribe(command)
        asked = Asked(self._websocket, self._services, self._thread_id, new_id())
        return await answered(asked, command)

    async def _subscribe(self, command: CommandFrame) -> None:
        """Replay, answer and install a subscription, in this order (see `socket_subscriptions`)."""
        params = params_of(SubscribeParams, command.params)
        try:
            wanted = params.filter
        except RefusedRequest as error:
            raise Refused("invalid_argument", str(error)) from None
        if command.method.endswith("reconnect"):
            gap = await self._gap(command, params)
            if gap is not None:
                return await self._feed.send(dumps(gap))
        ident = params.subscription_id or new_id()
        if ident not in self._feed and len(self._feed) >= MOST_SUBSCRIPTIONS:
            raise Refused("invalid_argument", f"a socket has at most {MOST_SUBSCRIPTIONS} subscriptions")
        through = await self._services.protocol_log.applied_through(self._thread_id)

        def answer(replayed: int) -> bytes:
            return dumps(success(command.id, {"subscription_id": ident, "replayed_events": replayed}, through))

        return await self._feed.subscribe(ident, Subscription(wanted, params.since), answer)

    async def _gap(self, command: CommandFrame, params: SubscribeParams) -> dict[str, Any] | None:
        """The refusal of a `since` whose events are not kept any more."""
        if "since" not in params.model_fields_set:
            raise Refused("invalid_argument", "since: is needed to reconnect")
        oldest = await self._services.protocol_log.oldest(self._thread_id)
        if max(params.since, base_number(1)) + 1 >= oldest:  # no event is numbered below those of the first run
            return None
        message = f"the events after {params.since} are not kept any more; the first that is kept is {oldest}"
        return refusal(command.id, "resume_gap", message) | {"since": params.since, "min_available_seq": oldest}

    async def _unsubscribe(self, command: CommandFrame) -> dict[str, Any]:
        params = params_of(UnsubscribeParams, command.params)
        if params.subscription_id not in self._feed:
            raise Refused("no_such_subscription", f"{params.subscription_id!r} is no subscription of this socket")
        await self._feed.unsubscribe(params.subscription_id)
        return success(command.id, {}, await self._services.protocol_log.applied_through(self._thread_id))

    async def _close_broken(self, error: Exception) -> None:
        """Close the socket: the thread cannot be followed any more, or the client has left."""
        if self._closed or isinstance(error, WebSocketDisconnect):
            return
        self._closed = True
        code, reason = BROKEN, ""
        if isinstance(error, NotFound | AccessRefused) and not is_handler_failure(error):
            code, reason = CLOSED_BY_STATUS + status_of(error), close_reason(str(error))
        else:
            log.error("http.feed_broken", exc_info=error)
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._websocket.close(code, reason)


def routes(extensions: Extensions) -> list[BaseRoute]:
    """For Starlette's router, behind their gate."""
    entered = with_socket_access_check(connect, COMMANDS, extensions.auth)
    return [WebSocketRoute("/threads/{thread_id}/stream/events", entered)]
