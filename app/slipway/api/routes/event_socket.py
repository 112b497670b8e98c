"""The event protocol over a WebSocket: the client sends commands, the server sends responses and the events of
subscriptions.

Nothing is buffered for a client: the thread is read as fast as the client reads.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, suppress
from typing import Any, Final

import structlog
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from slipway.access.permissions import is_handler_failure
from slipway.api.auth.access_check import access_check_of, user_of, with_socket_access_check
from slipway.api.auth.rates import count_command, hold_stream_slot
from slipway.api.bodies.events import CommandFrame, SubscribeParams, UnsubscribeParams
from slipway.api.event_commands import CommandContext, execute_command, params_of
from slipway.api.host_app.extensions import Extensions
from slipway.api.request_parsing import checked_uuid, parsed, validated
from slipway.api.request_spans import follow_client_trace
from slipway.api.responses import status_of
from slipway.api.shared_objects import services_of
from slipway.api.streams.access_watch import Check
from slipway.api.streams.command_responses import CommandError, command_error_response, command_response
from slipway.api.streams.credential_watch import watch_credentials
from slipway.api.streams.event_access import COMMAND_ACCESS, authorize_read
from slipway.api.streams.socket_subscriptions import SocketSubscriptions, Subscription
from slipway.api.websocket_close import CLOSED_BY_STATUS, close_reason
from slipway.errors import (
    AccessRefused,
    AuthBroken,
    InvalidRequest,
    NotFound,
    RateLimited,
    RefusedRequest,
    SlipwayError,
    Unavailable,
)
from slipway.event_protocol.protocol_event import base_number
from slipway.redis.shard_ids import run_id_on
from slipway.runs.record import new_id
from slipway.serialization.json_encoding import dumps
from slipway.services import Services
from slipway.threads.notifications import NotificationKind

log = structlog.get_logger(__name__)

INTERNAL_ERROR: Final = 1011
MAX_SUBSCRIPTIONS: Final = 100
_SUBSCRIPTIONS: Final = "subscription."
"""How the commands that only read begin."""


async def connect(websocket: WebSocket) -> None:
    """Serves one client until it disconnects."""
    thread_id = checked_uuid(websocket.path_params["thread_id"], "thread_id")
    check = await authorize_read(websocket, thread_id)
    await hold_stream_slot(websocket, user_of(websocket))
    await websocket.accept()
    services = services_of(websocket)
    follow_client_trace(websocket)
    session = SocketSession(websocket, services, thread_id, check)
    with ExitStack() as subscription:
        if access_check_of(websocket).auth is not None:
            subscription.enter_context(services.thread_notifications.subscribed(thread_id, session.on_notification))
        subscription.enter_context(watch_credentials(websocket, session.on_credentials_end))
        try:
            await session.run()
        except WebSocketDisconnect:
            pass
        finally:
            await session.close()


class SocketSession:
    """Executes the commands of one client and sends the events of its subscriptions."""

    def __init__(self, websocket: WebSocket, services: Services, thread_id: str, check: Check) -> None:
        self._websocket, self._services, self._thread_id = websocket, services, thread_id
        self._check, self._checks, self._closed = check, set[asyncio.Task[None]](), False
        self._subscriptions = SocketSubscriptions(
            services.protocol_log, thread_id, send=self._send_text, check=check, on_error=self._close_after_error
        )

    async def run(self) -> None:
        """Executes the commands in order and sends a response to each. Raises `WebSocketDisconnect`."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            raw = message.get("text") or message.get("bytes") or ""
            async with self._subscriptions.command():
                await self._execute_message(raw.encode("utf-8", "replace") if isinstance(raw, str) else raw)

    def on_notification(self, kind: NotificationKind) -> None:
        """Authorizes the client again when the metadata of the thread may have changed."""
        if kind is not NotificationKind.EVENT:
            check = asyncio.create_task(self._recheck(), name="access")
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)

    def on_credentials_end(self, error: AccessRefused) -> None:
        """Closes the socket: the API key or the token of the client was revoked or has expired."""
        closing = asyncio.create_task(self._close_after_error(error), name="access")
        self._checks.add(closing)
        closing.add_done_callback(self._checks.discard)

    async def _recheck(self) -> None:
        """Authorizes the client again. Nothing is sent until the result is known."""
        async with self._subscriptions.paused():
            try:
                await self._check()
            except Exception as error:
                await self._close_after_error(error)

    async def _is_still_authorized(self) -> bool:
        """Whether the client is still authorized to read the thread. Closes the socket if not. Raises `Unavailable`."""
        try:
            await self._check()
        except Unavailable:
            raise
        except SlipwayError as error:
            await self._close_after_error(error)
            return False
        return True

    async def close(self) -> None:
        """Stops following the thread."""
        for check in tuple(self._checks):
            check.cancel()
        await self._subscriptions.aclose()

    async def _send_text(self, message: bytes) -> None:
        """Sends one WebSocket text message, a JSON object in UTF-8."""
        await self._websocket.send({"type": "websocket.send", "text": message.decode()})

    async def _execute_message(self, raw: bytes) -> None:
        """Executes one command and sends its response."""
        try:
            command = validated(CommandFrame, parsed(raw))
        except InvalidRequest as error:
            return await self._subscriptions.send(dumps(command_error_response(None, "invalid_argument", str(error))))
        try:
            await count_command(
                self._websocket, user_of(self._websocket), may_write=not command.method.startswith(_SUBSCRIPTIONS)
            )
            if not await self._is_still_authorized():
                return None
            if command.method in ("subscription.subscribe", "subscription.reconnect"):
                return await self._subscribe(command)
            response = await self._execute(command)
        except CommandError as error:
            response = command_error_response(command.id, error.code, str(error))
        except AccessRefused as error:
            response = command_error_response(command.id, "permission_denied", str(error))
        except AuthBroken:
            log.exception("auth.failed", path=self._websocket.url.path)
            response = command_error_response(
                command.id, "unknown_error", "The auth file failed, so the operation could not be authorized."
            )
        except (Unavailable, RateLimited) as error:
            response = command_error_response(command.id, "unknown_error", str(error))
        return await self._subscriptions.send(dumps(response))

    async def _execute(self, command: CommandFrame) -> dict[str, Any]:
        if command.method == "subscription.unsubscribe":
            return await self._unsubscribe(command)
        run_id = run_id_on(self._thread_id, new_id())
        context = CommandContext(self._websocket, self._services, self._thread_id, run_id)
        return await execute_command(context, command)

    async def _subscribe(self, command: CommandFrame) -> None:
        """Replays events, sends the response and adds the subscription, in this order (see `socket_subscriptions`)."""
        params = params_of(SubscribeParams, command.params)
        try:
            event_filter = params.filter
        except RefusedRequest as error:
            raise CommandError("invalid_argument", str(error)) from None
        if command.method.endswith("reconnect"):
            gap = await self._resume_gap(command, params)
            if gap is not None:
                return await self._subscriptions.send(dumps(gap))
        subscription_id = params.subscription_id or new_id()
        if subscription_id not in self._subscriptions and len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
            raise CommandError("invalid_argument", f"a socket has at most {MAX_SUBSCRIPTIONS} subscriptions")
        through = await self._services.protocol_log.applied_through(self._thread_id)

        def response(replayed: int) -> bytes:
            return dumps(
                command_response(command.id, {"subscription_id": subscription_id, "replayed_events": replayed}, through)
            )

        return await self._subscriptions.subscribe(subscription_id, Subscription(event_filter, params.since), response)

    async def _resume_gap(self, command: CommandFrame, params: SubscribeParams) -> dict[str, Any] | None:
        """The error response if the events after `since` have expired."""
        if "since" not in params.model_fields_set:
            raise CommandError("invalid_argument", "since: required for subscription.reconnect")
        oldest = await self._services.protocol_log.oldest(self._thread_id)
        if max(params.since, base_number(1)) + 1 >= oldest:  # the events of the first run have the lowest numbers
            return None
        message = f"The events after {params.since} have expired. The first available event is {oldest}."
        details = {"since": params.since, "min_available_seq": oldest}
        return command_error_response(command.id, "resume_gap", message) | details

    async def _unsubscribe(self, command: CommandFrame) -> dict[str, Any]:
        params = params_of(UnsubscribeParams, command.params)
        if params.subscription_id not in self._subscriptions:
            raise CommandError(
                "no_such_subscription", f"{params.subscription_id!r} is not a subscription of this socket"
            )
        await self._subscriptions.unsubscribe(params.subscription_id)
        return command_response(command.id, {}, await self._services.protocol_log.applied_through(self._thread_id))

    async def _close_after_error(self, error: Exception) -> None:
        """Closes the socket, because following the thread failed. Does nothing if the client has disconnected."""
        if self._closed or isinstance(error, WebSocketDisconnect):
            return
        self._closed = True
        code, reason = INTERNAL_ERROR, ""
        if isinstance(error, NotFound | AccessRefused) and not is_handler_failure(error):
            code, reason = CLOSED_BY_STATUS + status_of(error), close_reason(str(error))
        else:
            log.error("http.stream_failed", exc_info=error)
        with suppress(RuntimeError, WebSocketDisconnect):
            await self._websocket.close(code, reason)


def routes(extensions: Extensions) -> list[BaseRoute]:
    """The routes for Starlette's router, with their access check."""
    endpoint = with_socket_access_check(connect, COMMAND_ACCESS, extensions.auth)
    return [WebSocketRoute("/threads/{thread_id}/stream/events", endpoint)]
