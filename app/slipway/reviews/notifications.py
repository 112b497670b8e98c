"""Notifications of reviews: one channel of all reviews, on which each change publishes the id of its review."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from slipway.redis.shards import Shards
from slipway.redis.subscriber import Subscriber
from slipway.reviews.reads import notification_channel

ReviewHandler = Callable[[str | None], None]
"""Receives the id of a review that has changed, or None if notifications may have been missed."""


class ReviewNotifications:
    """Subscribes to each shard once, however many handlers there are, and only while there are some. A notification can
    be lost only together with the connection, and then handlers receive None."""

    def __init__(self, shards: Shards, subscriber: Subscriber) -> None:
        self._channels, self._subscriber = [*map(notification_channel, shards.threads)], subscriber
        self._handlers: list[ReviewHandler] = []
        self._subscribed: asyncio.Future[None] | None = None

    @contextmanager
    def subscribed(self, handler: ReviewHandler) -> Iterator[asyncio.Future[None]]:
        """Calls `handler` for each notification until the block ends. Yields a future that is done when the
        subscription is active."""
        if self._subscribed is None:
            subscriptions = [self._subscriber.subscribe(channel, self._on_message) for channel in self._channels]
            self._subscribed = asyncio.ensure_future(_all(subscriptions))
        self._handlers.append(handler)
        try:
            yield asyncio.shield(self._subscribed)  # cancelling one handler must not cancel the others
        finally:
            self._handlers.remove(handler)
            if not self._handlers:
                for channel in self._channels:
                    self._subscriber.unsubscribe(channel)
                self._subscribed = None

    def _on_message(self, message: bytes | None) -> None:
        review_id = None if message is None else message.decode()
        for handler in tuple(self._handlers):
            handler(review_id)


async def _all(subscriptions: Sequence[asyncio.Future[None]]) -> None:
    await asyncio.gather(*subscriptions)
