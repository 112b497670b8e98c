"""Notifications of a thread: a run of it was started or cancelled, its state or its metadata was written, or it was
deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from slipway.redis.keys import Keys
from slipway.redis.subscriber import Subscriber
from slipway.threads.reads import notification_channel


class NotificationKind(Enum):
    """The reason of a notification."""

    EVENT = "event"
    METADATA = "metadata"
    MISSED = "missed"
    """The connection was lost and restored: notifications may have been missed."""


NotificationHandler = Callable[[NotificationKind], None]
"""Called at once for each notification, before anything that was published later is received."""

_METADATA: Final = b"metadata"


@dataclass(slots=True, eq=False)
class _Subscription:
    subscribed: asyncio.Future[None]
    handlers: list[NotificationHandler] = field(default_factory=list)

    def on_message(self, message: bytes | None) -> None:
        if message is None:
            kind = NotificationKind.MISSED
        else:
            kind = NotificationKind.METADATA if message == _METADATA else NotificationKind.EVENT
        for handler in tuple(self.handlers):
            handler(kind)


class ThreadNotifications:
    """Subscribes once to each thread, however many handlers it has. A notification can be lost: followers also check
    the thread at an interval."""

    def __init__(self, keys: Keys, subscriber: Subscriber) -> None:
        self._keys, self._subscriber = keys, subscriber
        self._subscriptions: dict[str, _Subscription] = {}

    def is_subscribed(self, thread_id: str) -> bool:
        """Whether notifications of the thread are received."""
        subscription = self._subscriptions.get(thread_id)
        return subscription is not None and subscription.subscribed.done()

    @contextmanager
    def notified(self, thread_id: str) -> Iterator[tuple[asyncio.Future[None], asyncio.Event]]:
        """Yields a future that is done when the subscription is active, and an event that each notification sets."""
        event = asyncio.Event()
        with self.subscribed(thread_id, lambda kind: event.set()) as subscribed:
            yield subscribed, event

    @contextmanager
    def subscribed(self, thread_id: str, handler: NotificationHandler) -> Iterator[asyncio.Future[None]]:
        """Calls `handler` for each notification until the block ends. Yields a future that is done when the
        subscription is active."""
        subscription = self._subscriptions.get(thread_id)
        channel = notification_channel(self._keys, thread_id)
        if subscription is None:
            subscription = _Subscription(asyncio.get_running_loop().create_future())
            subscription.subscribed = self._subscriber.subscribe(channel, subscription.on_message)
            self._subscriptions[thread_id] = subscription
        subscription.handlers.append(handler)
        try:
            yield asyncio.shield(subscription.subscribed)  # cancelling one handler must not cancel the others
        finally:
            subscription.handlers.remove(handler)
            if not subscription.handlers:
                self._subscriber.unsubscribe(channel)
                del self._subscriptions[thread_id]
