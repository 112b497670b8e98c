"""Being woken when something happens to a thread: a run of it was started or cancelled, or its state was written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from app.keyspace.names import Keys
from app.redis.subscriber import Subscriber


@dataclass(slots=True)
class _Listening:
    subscribed: asyncio.Future[None]
    readers: set[asyncio.Event] = field(default_factory=set)

    def hear(self, message: bytes | None) -> None:
        for reader in self.readers:
            reader.set()


class ThreadWakes:
    """One subscription a thread, however many wait for it. A wake-up may be lost: whoever waits also looks now and
    then."""

    def __init__(self, keys: Keys, subscriber: Subscriber) -> None:
        self._keys, self._subscriber = keys, subscriber
        self._listening: dict[str, _Listening] = {}

    @contextmanager
    def woken(self, thread_id: str) -> Iterator[tuple[asyncio.Future[None], asyncio.Event]]:
        """What is done once the subscription stands, and an event that each wake-up sets."""
        listening = self._listening.get(thread_id)
        channel, woken = self._keys.thread_wake(thread_id), asyncio.Event()
        if listening is None:
            hears = _Listening(asyncio.get_running_loop().create_future())
            hears.subscribed = self._subscriber.listen(channel, hears.hear)
            listening = self._listening[thread_id] = hears
        listening.readers.add(woken)
        try:
            yield asyncio.shield(listening.subscribed), woken  # one reader that is cancelled must not cancel the others
        finally:
            listening.readers.discard(woken)
            if not listening.readers:
                self._subscriber.forget(channel)
                del self._listening[thread_id]
