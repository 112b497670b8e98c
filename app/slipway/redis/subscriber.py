"""Receives published messages: what all other modules use, whether Redis is one server or a cluster.

A handler receives each message of its channel. It receives `None` when messages may have been lost, because a
connection broke and was opened again, or the channel moved to another server: then it must read the event log, which is
complete.

`server_subscriber.ServerSubscriber` receives from one server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

MessageHandler = Callable[[bytes | None], None]


class Subscriber(Protocol):
    """The channels of one event loop."""

    @property
    def connected(self) -> bool:
        """Whether messages can arrive now."""
        ...

    async def open(self) -> None:
        """Connects. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None:
        """Disconnects. No handler receives anything more."""
        ...

    def subscribe(self, channel: str, handler: MessageHandler) -> asyncio.Future[None]:
        """Subscribes to a channel, which can have one handler. When the future is done, Redis has confirmed the
        subscription, and `handler` receives every message."""
        ...

    def unsubscribe(self, channel: str) -> None:
        """The handler of the channel receives nothing more."""
        ...

    def ping(self) -> None:
        """Sends a ping. If the last one got no reply, closes the connection instead and opens it again."""
        ...

    def reconnect(self) -> None:
        """Closes the socket at once and opens a new one."""
        ...
