"""Receives published messages from one server, over one connection for a whole process.

redis-py subscribes again without reporting that messages may have been lost, so a handler could not know when to read
the log.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog

from slipway.redis.connection import Address, Connection, pack, reply_error
from slipway.redis.subscriber import MessageHandler

log = structlog.get_logger(__name__)

PING_EVERY_S: Final = 5.0
"""The interval of pings. A connection on which a ping got no reply within one interval is closed and opened again."""

UNSUBSCRIBE_WITHIN_S: Final = 0.05
"""An unsubscription waits at most this time for a subscription, to be sent in the same write: on a busy web process,
where each run has a channel, every second write is saved."""

MESSAGE_PARTS: Final = 3
"""A message has its kind, its channel and its payload; a confirmation as many."""


class ServerSubscriber:
    """Channels on one connection. All subscriptions of one event loop iteration are sent in one write, with the
    unsubscriptions before them."""

    def __init__(self, address: Address, name: str, *, ping_every_s: float = PING_EVERY_S) -> None:
        self._ping_every_s, self._unanswered = ping_every_s, False
        self._pings: asyncio.TimerHandle | None = None
        self._connection = Connection(address, name, self)
        self._handlers: dict[bytes, MessageHandler] = {}
        self._acknowledged: dict[bytes, asyncio.Future[None]] = {}
        self._unsent: list[tuple[str, bytes]] = []
        self._unsubscribe_timer: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether messages can arrive now."""
        return self._connection.connected

    async def open(self) -> None:
        """Connects. Raises `StoreUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await self._connection.open()
        self._ping_later()

    async def close(self) -> None:
        for timer in (self._pings, self._unsubscribe_timer):
            if timer is not None:
                timer.cancel()
        await self._connection.close()

    def subscribe(self, channel: str, handler: MessageHandler) -> asyncio.Future[None]:
        """Subscribes to a channel, which can have one handler. When the future is done, Redis has confirmed the
        subscription, and `handler` receives every message."""
        name = channel.encode()
        self._handlers[name] = handler
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        self._acknowledged[name] = acknowledged
        self._unsent.append(("SUBSCRIBE", name))
        self._loop.call_soon(self._flush)
        return acknowledged

    def unsubscribe(self, channel: str) -> None:
        """The handler of the channel receives nothing more. Redis is told within `UNSUBSCRIBE_WITHIN_S`."""
        name = channel.encode()
        if self._handlers.pop(name, None) is not None:
            self._acknowledged.pop(name, None)
            self._unsent.append(("UNSUBSCRIBE", name))
            if self._unsubscribe_timer is None:
                self._unsubscribe_timer = self._loop.call_later(UNSUBSCRIBE_WITHIN_S, self._flush)

    def _flush(self) -> None:
        """Sends what is not sent yet. Every subscription calls it, so there may be nothing left."""
        if self._unsubscribe_timer is not None:
            self._unsubscribe_timer.cancel()
            self._unsubscribe_timer = None
        unsent, self._unsent = self._unsent, []
        if unsent and self._connection.connected:
            self._connection.write([pack(words) for words in unsent])

    def _ping_later(self) -> None:
        self._pings = self._loop.call_later(self._ping_every_s, self._on_ping_due)

    def _on_ping_due(self) -> None:
        self.ping()
        self._ping_later()

    def ping(self) -> None:
        """Sends a ping. If the last one got no reply, closes the connection instead and opens it again. A connection
        can break without notice, and one that only receives detects that by pings alone."""
        if self._connection.connected and self._unanswered:
            self._connection.disconnect()
        elif self._connection.connected:
            self._unanswered = True
            self._connection.write([pack(("PING",))])

    def reconnect(self) -> None:
        """Closes the socket at once and opens a new one."""
        self._connection.disconnect()

    # ConnectionOwner

    def on_connected(self) -> None:
        """Subscribes to the channels again."""
        self._unanswered = False
        if self._handlers:
            self._connection.write([pack(("SUBSCRIBE", *self._handlers))])

    def on_lost(self) -> None:
        """Handlers receive `None` when the channel is subscribed again."""

    def on_unavailable(self) -> None:
        """It stays subscribed to nothing until it is connected."""

    def on_reply(self, reply: Any) -> None:
        self._unanswered = False
        if (error := reply_error(reply)) is not None:
            log.error("subscriber.error_received", problem=str(error))
            return
        if not isinstance(reply, list) or len(reply) != MESSAGE_PARTS:  # the reply to a ping
            return
        kind, channel, payload = reply
        if kind == b"message":
            if (handler := self._handlers.get(channel)) is not None:
                handler(payload)
        elif kind == b"subscribe":
            self._subscribed(channel)

    def _subscribed(self, channel: bytes) -> None:
        acknowledged = self._acknowledged.get(channel)
        if acknowledged is None:
            return
        if acknowledged.done():
            self._handlers[channel](None)
        else:
            acknowledged.set_result(None)
