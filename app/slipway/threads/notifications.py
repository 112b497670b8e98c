"""Being woken when something happens to a thread: a run of it was started or cancelled, its state or its metadata was
written, or it was deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from slipway.redis.keys import Keys
from slipway.redis.subscriber import Subscriber


class NotificationKind(Enum):
    """What a wake-up is about."""

    EVENT = "event"
    METADATA = "metadata"
    MISSED = "missed"
    """The connection broke and is back: anything may have happened."""


Woken = Callable[[NotificationKind], None]
"""Is called at once for each wake-up, before whatever was published after it is received."""

_METADATA: Final = b"metadata"


@dataclass(slots=True, eq=False)
class _Listening:
    subscribed: asyncio.Future[None]
    readers: list[Woken] = field(default_factory=list)

    def hear(self, message: bytes | None) -> None:
        if message is None:
            wake = NotificationKind.MISSED
        else:
            wake = NotificationKind.METADATA if message == _METADATA else NotificationKind.EVENT
        for reader in tuple(self.readers):
            reader(wake)


class ThreadNotifications:
    """One subscription a thread, however many wait for it. A wake-up may be lost: whoever waits also looks now and
    then."""

    def __init__(self, keys: Keys, subscriber: Subscriber) -> None:
        self._keys, self._subscriber = keys, subscriber
        self._listening: dict[str, _Listening] = {}

    @contextmanager
    def woken(self, thread_id: str) -> Iterator[tuple[asyncio.Future[None], asyncio.Event]]:
        """What is done once the subscription stands, and an event that each wake-up sets."""
        event = asyncio.Event()
        with self.listening(thread_id, lambda wake: event.set()) as subscribed:
            yield subscribed, event

    @contextmanager
    def listening(self, thread_id: str, reader: Woken) -> Iterator[asyncio.Future[None]]:
        """Call `reader` for each wake-up until the block is left. Yields what is done once the subscription stands."""
        listening = self._listening.get(thread_id)
        channel = self._keys.thread_notifications(thread_id)
        if listening is None:
            hears = _Listening(asyncio.get_running_loop().create_future())
            hears.subscribed = self._subscriber.listen(channel, hears.hear)
            listening = self._listening[thread_id] = hears
        listening.readers.append(reader)
        try:
            yield asyncio.shield(listening.subscribed)  # one reader that is cancelled must not cancel the others
        finally:
            listening.readers.remove(reader)
            if not listening.readers:
                self._subscriber.forget(channel)
                del self._listening[thread_id]
