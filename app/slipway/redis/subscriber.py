"""One subscription connection a process, however many listen.

A listener hears each message of its channel, and `None` when messages may have been missed (the connection broke and
is back): then it must look at the log, which is the truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import structlog

from slipway.redis.connection import Address, Connection, pack, reply_error

log = structlog.get_logger(__name__)

PING_EVERY_S: Final = 5.0
"""A connection on which not even a ping was answered for so long is given up."""

_MESSAGE_PARTS: Final = 3

Listener = Callable[[bytes | None], None]


class Subscriber:
    """Channels on one link. Subscribing and unsubscribing of one turn of the event loop share a write."""

    def __init__(self, address: Address, name: str, *, ping_every_s: float = PING_EVERY_S) -> None:
        self._ping_every_s, self._unanswered = ping_every_s, False
        self._pings: asyncio.TimerHandle | None = None
        self._connection = Connection(address, name, self)
        self._listeners: dict[bytes, Listener] = {}
        self._acknowledged: dict[bytes, asyncio.Future[None]] = {}
        self._unsent: list[tuple[str, bytes]] = []

    async def open(self) -> None:
        """Connect, or raise `StoreUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await self._connection.open()
        self._ping_later()

    async def close(self) -> None:
        """Hang up."""
        if self._pings is not None:
            self._pings.cancel()
        await self._connection.close()

    def listen(self, channel: str, listener: Listener) -> asyncio.Future[None]:
        """From the moment the answer is done, `listener` hears every message of `channel`. One listener a channel."""
        name = channel.encode()
        self._listeners[name] = listener
        acknowledged: asyncio.Future[None] = self._loop.create_future()
        self._acknowledged[name] = acknowledged
        self._say("SUBSCRIBE", name)
        return acknowledged

    def forget(self, channel: str) -> None:
        """Hear no more of `channel`."""
        name = channel.encode()
        if self._listeners.pop(name, None) is not None:
            self._acknowledged.pop(name, None)
            self._say("UNSUBSCRIBE", name)

    def _say(self, verb: str, channel: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append((verb, channel))

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._connection.connected:
            self._connection.write([pack(words) for words in unsent])

    def _ping_later(self) -> None:
        self._pings = self._loop.call_later(self._ping_every_s, self._ping)

    def _ping(self) -> None:
        """A connection may end without anybody being told; one that only listens would never notice."""
        if self._connection.connected and self._unanswered:
            self._connection.disconnect()
        elif self._connection.connected:
            self._unanswered = True
            self._connection.write([pack(("PING",))])
        self._ping_later()

    # what the link tells

    def on_connected(self) -> None:
        self._unanswered = False
        if self._listeners:
            self._connection.write([pack(("SUBSCRIBE", *self._listeners))])

    def on_lost(self) -> None:
        """Nothing to do yet: listeners hear `None` when the channel is theirs again."""

    def on_reply(self, reply: Any) -> None:
        self._unanswered = False
        if (error := reply_error(reply)) is not None:
            log.error("subscriber.refused", problem=str(error))
            return
        if not isinstance(reply, list) or len(reply) != _MESSAGE_PARTS:  # the answer to a ping
            return
        kind, channel, payload = reply
        if kind == b"message":
            if (listener := self._listeners.get(channel)) is not None:
                listener(payload)
        elif kind == b"subscribe":
            self._subscribed(channel)

    def _subscribed(self, channel: bytes) -> None:
        acknowledged = self._acknowledged.get(channel)
        if acknowledged is None:
            return
        if acknowledged.done():
            self._listeners[channel](None)
        else:
            acknowledged.set_result(None)
