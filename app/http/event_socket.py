"""The event protocol over a WebSocket: commands in, answers and the events of subscriptions out.

Nothing queues up for a client: whoever reads slowly slows its own subscriptions, which read the logs at its pace.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from typing import Any, Final

import structlog
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.errors import AccessRefused, AuthBroken, InvalidRequest, NotFound, RefusedRequest, Unavailable
from app.event_protocol.event_filters import EventFilter
from app.http.access import guarded_socket
from app.http.callers import CLOSED_BY_STATUS
from app.http.event_access import COMMANDS, Check, may_read
from app.http.event_bodies import CommandFrame, SubscribeParams, UnsubscribeParams
from app.http.event_commands import Asked, Refused, answered, params_of, refusal, success
from app.http.extensions import Extensions
from app.http.inputs import checked_uuid, parsed, validated
from app.http.origins import without_foreign_cookies
from app.http.wiring import services_of
from app.runs.runs import new_id
from app.serialization.encoding import dumps
from app.services import Services

log = structlog.get_logger(__name__)

BROKEN: Final = 1011
MOST_SUBSCRIPTIONS: Final = 100


async def connect(websocket: WebSocket) -> None:
    """One client, until it leaves."""
    thread_id = checked_uuid(websocket.path_params["thread_id"], "thread_id")
    check = await may_read(websocket, thread_id)
    await websocket.accept()
    conversation = _Conversation(websocket, services_of(websocket), thread_id, check)
    try:
        await conversation.listen()
    except WebSocketDisconnect:
        pass
    finally:
        await conversation.end()


class _Conversation:
    """What one client said and hears."""

    def __init__(self, websocket: WebSocket, services: Services, thread_id: str, check: Check) -> None:
        self._websocket, self._services, self._thread_id, self._check = websocket, services, thread_id, check
        self._subscriptions: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()

    async def listen(self) -> None:
        """Answer what comes, in order. Raises `WebSocketDisconnect`."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            raw = message.get("text") or message.get("bytes") or ""
            answer, starts = await self._answered(raw.encode("utf-8", "replace") if isinstance(raw, str) else raw)
            await self._send(dumps(answer))
            if starts is not None:
                starts()

    async def end(self) -> None:
        """Follow nothing more."""
        tasks, self._subscriptions = list(self._subscriptions.values()), {}
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            await self._websocket.send({"type": "websocket.send", "text": frame.decode()})

    async def _answered(self, raw: bytes) -> tuple[dict[str, Any], Any]:
        """The answer, and what begins once it has been sent."""
        try:
            command = validated(CommandFrame, parsed(raw))
        except InvalidRequest as error:
            return refusal(None, "invalid_argument", str(error)), None
        try:
            if command.method in ("subscription.subscribe", "subscription.reconnect"):
                return await self._subscribe(command)
            if command.method == "subscription.unsubscribe":
                return await self._unsubscribe(command), None
            asked = Asked(self._websocket, self._services, self._thread_id, new_id())
            return await answered(asked, command), None
        except Refused as error:
            return refusal(command.id, error.code, str(error)), None
        except AccessRefused as error:
            return refusal(command.id, "permission_denied", str(error)), None
        except AuthBroken:
            log.exception("auth.broken", path=self._websocket.url.path)
            return refusal(command.id, "unknown_error", "the server could not find out whether this is allowed"), None
        except Unavailable as error:
            return refusal(command.id, "unknown_error", str(error)), None

    async def _subscribe(self, command: CommandFrame) -> tuple[dict[str, Any], Any]:
        params = params_of(SubscribeParams, command.params)
        try:
            wanted = params.filter
        except RefusedRequest as error:
            raise Refused("invalid_argument", str(error)) from None
        if command.method.endswith("reconnect"):
            gap = await self._gap(command, params)
            if gap is not None:
                return gap, None
        ident = params.subscription_id or new_id()
        if ident not in self._subscriptions and len(self._subscriptions) >= MOST_SUBSCRIPTIONS:
            raise Refused("invalid_argument", f"a socket has at most {MOST_SUBSCRIPTIONS} subscriptions")
        await self._forget(ident)

        def begin() -> None:
            self._subscriptions[ident] = asyncio.create_task(self._follow(wanted, params.since), name=f"events {ident}")

        through = await self._services.protocol_log.applied_through(self._thread_id)
        # what was before and what comes are one stream: nobody knows how much of it is old
        return success(command.id, {"subscription_id": ident, "replayed_events": 0}, through), begin

    async def _gap(self, command: CommandFrame, params: SubscribeParams) -> dict[str, Any] | None:
        """The refusal of a `since` whose events are not kept any more."""
        if "since" not in params.model_fields_set:
            raise Refused("invalid_argument", "since: is needed to reconnect")
        oldest = await self._services.protocol_log.oldest(self._thread_id)
        if params.since + 1 >= oldest:
            return None
        message = f"the events after {params.since} are not kept any more; the first that is kept is {oldest}"
        return refusal(command.id, "resume_gap", message) | {"since": params.since, "min_available_seq": oldest}

    async def _unsubscribe(self, command: CommandFrame) -> dict[str, Any]:
        params = params_of(UnsubscribeParams, command.params)
        if params.subscription_id not in self._subscriptions:
            raise Refused("no_such_subscription", f"{params.subscription_id!r} is no subscription of this socket")
        await self._forget(params.subscription_id)
        return success(command.id, {}, await self._services.protocol_log.applied_through(self._thread_id))

    async def _forget(self, ident: str) -> None:
        task = self._subscriptions.pop(ident, None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _follow(self, wanted: EventFilter, since: int) -> None:
        """Events, until the socket closes or the subscription ends."""
        turn = 0
        try:
            async with aclosing(self._services.protocol_log.follow(self._thread_id, since)) as batches:
                async for batch in batches:
                    if batch[0].turn != turn:
                        await self._check()
                        turn = batch[0].turn
                    for event in batch:
                        if wanted.wants(event):
                            await self._send(event.encoded())
        except WebSocketDisconnect:
            return
        except NotFound:  # meanwhile somebody else has made the thread
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._websocket.close(CLOSED_BY_STATUS + 404)
        except Exception:
            log.exception("http.feed_broken")
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._websocket.close(BROKEN)


def routes(extensions: Extensions) -> list[BaseRoute]:
    """For Starlette's router, behind their gate."""
    entered = guarded_socket(connect, COMMANDS, extensions.auth)
    return [
        WebSocketRoute("/threads/{thread_id}/stream/events", without_foreign_cookies(entered, extensions.http.cors))
    ]
