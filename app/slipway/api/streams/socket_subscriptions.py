"""Sends the events of one thread over one WebSocket, in one order for all subscriptions.

One follower reads the events of the thread. It compares each event with every subscription, and sends it once even if
several subscriptions match. `_cursor` is the number of the last event that it read. A new subscription first replays
the events up to the cursor, then the follower sends it new events. Everything is sent under one lock, so

- the replay of a subscription is the `replayed_events` messages directly before its response, and
- all other events are sent once, in the order of their numbers.

The response is sent after the replay because `@langchain/langgraph-sdk` stops reading a subscription when the run ends,
unless the subscription has unread events when the response arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from slipway.errors import NotFound
from slipway.event_protocol.event_filters import EventFilter
from slipway.event_protocol.protocol_event import ORDINAL_BITS, ProtocolEvent, base_number
from slipway.event_protocol.protocol_log import ProtocolLog

Send = Callable[[bytes], Awaitable[None]]
"""Sends one text message. Raises `WebSocketDisconnect` when the client has disconnected."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Receives the events that match `filter` and have a number above `since`."""

    filter: EventFilter
    since: int = 0

    def matches(self, event: ProtocolEvent) -> bool:
        return event.seq > self.since and self.filter.matches(event)


class SocketSubscriptions:
    """The subscriptions of one socket. `check` is awaited before the first event of each run. `on_error` receives the
    exceptions of `check` and of reading the events, and closes the socket."""

    def __init__(
        self,
        protocol_log: ProtocolLog,
        thread_id: str,
        *,
        send: Send,
        check: Callable[[], Awaitable[None]],
        on_error: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self._log, self._thread_id = protocol_log, thread_id
        self._send_text, self._check, self._on_error = send, check, on_error
        self._subscriptions: dict[str, Subscription] = {}
        self._follower: asyncio.Task[None] | None = None
        self._cursor = 0
        self._sending = asyncio.Lock()
        self._commanding = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def __contains__(self, subscription_id: str) -> bool:
        return subscription_id in self._subscriptions

    @asynccontextmanager
    async def command(self) -> AsyncIterator[None]:
        """The block executes a command and sends its response. Inside it, the first event of a run is not sent, so the
        events of a run follow the response to the command that started it."""
        async with self._commanding:
            yield

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Inside the block nothing is sent."""
        async with self._sending:
            yield

    async def send(self, message: bytes) -> None:
        """Sends a message that is not an event."""
        async with self._sending:
            await self._send_text(message)

    async def subscribe(
        self, subscription_id: str, subscription: Subscription, response: Callable[[int], bytes]
    ) -> None:
        """Replays events, sends the message that `response` builds from the number of replayed events, and adds the
        subscription. It replaces a subscription with the same id. Raises `StoreUnavailable`; then no subscription is
        added."""
        async with self._sending:
            self._subscriptions.pop(subscription_id, None)
            incarnation = None
            if self._follower is None:
                self._cursor, incarnation = 0, await self._log.incarnation(self._thread_id)
            replayed = await self._replay(subscription)
            await self._send_text(response(replayed))
            self._subscriptions[subscription_id] = subscription
            if self._follower is None:
                self._follower = asyncio.create_task(
                    self._follow(self._cursor, incarnation), name=f"events of {self._thread_id}"
                )

    async def unsubscribe(self, subscription_id: str) -> None:
        """Removes a subscription. When the last one is removed, stops following the thread."""
        async with self._sending:
            self._subscriptions.pop(subscription_id, None)
        if not self._subscriptions:
            await self.aclose()

    async def aclose(self) -> None:
        """Stops following the thread."""
        self._subscriptions.clear()
        follower, self._follower = self._follower, None
        if follower is not None:
            follower.cancel()
            with suppress(asyncio.CancelledError):
                await follower

    async def _replay(self, subscription: Subscription) -> int:
        """Sends the events up to the cursor that the subscription has missed, and returns their number. Without a
        follower these are all existing events, and the cursor is set to the last one."""
        through, replayed = self._cursor if self._follower else None, 0
        # Read from the first event of the run: the cursor must pass a run even if the client has all of its events.
        whole_run = base_number(subscription.since >> ORDINAL_BITS)
        async with aclosing(self._log.replay(self._thread_id, whole_run, through)) as batches:
            async for batch in batches:
                replayed += await self._send_events(batch, [subscription])
                self._cursor = max(self._cursor, batch[-1].seq)
        return replayed

    async def _follow(self, since: int, incarnation: str | None) -> None:
        ordinal = 0
        try:
            async with aclosing(self._log.follow(self._thread_id, since, incarnation)) as batches:
                async for batch in batches:
                    if batch[0].ordinal != ordinal:
                        async with self._commanding:
                            await self._check()
                        ordinal = batch[0].ordinal
                    async with self._sending:
                        await self._send_events(batch, self._subscriptions.values())
                        self._cursor = batch[-1].seq
            await self._on_error(NotFound("thread", self._thread_id))  # the thread was deleted
        except Exception as error:
            await self._on_error(error)

    async def _send_events(self, events: Sequence[ProtocolEvent], to: Collection[Subscription]) -> int:
        sent = 0
        for event in events:
            if any(subscription.matches(event) for subscription in to):
                await self._send_text(event.encoded())
                sent += 1
        return sent
