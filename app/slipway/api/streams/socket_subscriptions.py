"""The events of one thread on one WebSocket, in one order for all its subscriptions.

One reader follows the thread. It matches each event with every subscription and sends it once, however many match;
`_cursor` is the number of the last event that it took. A new subscription first replays what lies at or below the
cursor, then joins the reader. Everything is sent under one lock, so

- the replay of a subscription is the `replayed_events` frames directly before its answer, and
- all other events come once, in the order of their numbers.

The answer comes after the replay because `@langchain/langgraph-sdk` needs it so: it stops reading a subscription when
the run ends, unless events wait in it by the time that the answer arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from slipway.errors import NotFound
from slipway.event_protocol.event_filters import EventFilter
from slipway.event_protocol.protocol_log import ProtocolLog
from slipway.event_protocol.run_translator import ORDINAL_BITS, ProtocolEvent, base_number

Send = Callable[[bytes], Awaitable[None]]
"""Sends one frame. Raises `WebSocketDisconnect` when the client has left."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subscription receives: the events that `filter` lets through and whose number is above `since`."""

    filter: EventFilter
    since: int = 0

    def wants(self, event: ProtocolEvent) -> bool:
        """Whether the event is for this subscription."""
        return event.seq > self.since and self.filter.wants(event)


class SocketSubscriptions:
    """Sends the events of a thread. `check` is awaited before the first event of each run; what it raises, and what
    reading raises, goes to `on_broken`, which ends the socket."""

    def __init__(
        self,
        protocol_log: ProtocolLog,
        thread_id: str,
        *,
        send: Send,
        check: Callable[[], Awaitable[None]],
        on_broken: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self._log, self._thread_id = protocol_log, thread_id
        self._send_frame, self._check, self._on_broken = send, check, on_broken
        self._subscriptions: dict[str, Subscription] = {}
        self._reader: asyncio.Task[None] | None = None
        self._cursor = 0
        self._sending = asyncio.Lock()
        self._commanding = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._subscriptions)

    def __contains__(self, ident: str) -> bool:
        return ident in self._subscriptions

    @asynccontextmanager
    async def command(self) -> AsyncIterator[None]:
        """The time in which a command is carried out and answered. No run's first event is sent meanwhile, so the
        events of a run follow the answer to the command that started it."""
        async with self._commanding:
            yield

    @asynccontextmanager
    async def silence(self) -> AsyncIterator[None]:
        """The time in which nothing is sent."""
        async with self._sending:
            yield

    async def send(self, frame: bytes) -> None:
        """Send what is no event."""
        async with self._sending:
            await self._send_frame(frame)

    async def subscribe(self, ident: str, subscription: Subscription, answer: Callable[[int], bytes]) -> None:
        """Replay, send the answer that `answer` makes of the number of replayed events, and install the subscription;
        one of the same name is replaced. Raises `StoreUnavailable`: then nothing is installed."""
        async with self._sending:
            self._subscriptions.pop(ident, None)
            if self._reader is None:
                self._cursor = 0
            replayed = await self._replay(subscription)
            await self._send_frame(answer(replayed))
            self._subscriptions[ident] = subscription
            if self._reader is None:
                self._reader = asyncio.create_task(self._read(self._cursor), name=f"events of {self._thread_id}")

    async def unsubscribe(self, ident: str) -> None:
        """Send no more events of this subscription; without any, the thread is not followed."""
        async with self._sending:
            self._subscriptions.pop(ident, None)
        if not self._subscriptions:
            await self.aclose()

    async def aclose(self) -> None:
        """Stop following."""
        self._subscriptions.clear()
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _replay(self, subscription: Subscription) -> int:
        """Send what the subscription has missed, and count it. Without a reader that is all there is by now, and the
        cursor is set to its end."""
        through, replayed = self._cursor if self._reader else None, 0
        # Starts at the first event of the run: the cursor needs the end of a run that was received completely.
        whole_run = base_number(subscription.since >> ORDINAL_BITS)
        async with aclosing(self._log.replay(self._thread_id, whole_run, through)) as batches:
            async for batch in batches:
                replayed += await self._send_events(batch, [subscription])
                self._cursor = max(self._cursor, batch[-1].seq)
        return replayed

    async def _read(self, since: int) -> None:
        turn = 0
        try:
            async with aclosing(self._log.follow(self._thread_id, since)) as batches:
                async for batch in batches:
                    if batch[0].turn != turn:
                        async with self._commanding:
                            await self._check()
                        turn = batch[0].turn
                    async with self._sending:
                        await self._send_events(batch, self._subscriptions.values())
                        self._cursor = batch[-1].seq
            await self._on_broken(NotFound("thread", self._thread_id))  # it was deleted
        except Exception as error:
            await self._on_broken(error)

    async def _send_events(self, events: Sequence[ProtocolEvent], to: Collection[Subscription]) -> int:
        sent = 0
        for event in events:
            if any(subscription.wants(event) for subscription in to):
                await self._send_frame(event.encoded())
                sent += 1
        return sent
