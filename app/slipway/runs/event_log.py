"""The event log of a run: the only source of everything that clients receive about the run.

The log is one Redis stream for each run. The script that appends to it also publishes a notification, which contains
the new entries and the id of the entry before them. All followers of a run in one process share a `Tail`. If a
notification follows the end of the tail without a gap, its entries are added to the tail. If one was lost, or has no
entries because they are large, the process reads what follows the tail once for all followers. In every other case (a
late follower, a new connection) a follower reads the stream. A process looks at all logs that it follows at an interval
(`log_polls`). So a lost notification delays events, but no event is lost.

A follower has no queue. A follower that is slower than the tail reads the stream at its own pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.redis.subscriber import Subscriber
from slipway.runs.event_tail import Tail
from slipway.runs.events import NEW_ONLY, START, START_ID, Event, EventPosition, event_position, gap_event
from slipway.runs.log_polls import LogPolls
from slipway.runs.log_reads import LogReads, RawEntry
from slipway.runs.replicated_runs import ReplicatedRuns
from slipway.runs.scripts import LogScripts
from slipway.serialization.slices import LARGE_BYTES
from slipway.serialization.turns import let_others_continue

log = structlog.get_logger(__name__)

READ_EVENTS: Final = 500
"""The most events of one read."""
READ_BYTES: Final = 8 * 1024 * 1024
"""Bytes of decompressed events after which a read ends."""
RETRY_PAUSE_S: Final = 0.5


@dataclass(slots=True)
class SharedTail:
    """The tail of a run, its subscription, and the number of its followers."""

    subscribed: asyncio.Future[None]
    tail: Tail
    followers: int = 0
    reading: asyncio.Task[None] | None = None
    """Reads the events that the tail misses."""

    async def wait_until_subscribed(self) -> None:
        """Returns when notifications arrive. All followers share the subscription, so cancelling one of them does not
        cancel it."""
        await asyncio.shield(self.subscribed)


class EventLog:
    """Reads and follows event logs. Scripts append to them."""

    def __init__(
        self, pipeline: Pipeline, keys: Keys, subscriber: Subscriber, replicated: ReplicatedRuns | None = None
    ) -> None:
        """Without `replicated`, the `end` events of replicated runs do not wait for replicas."""
        self._replicated = replicated
        self._log, self._pages, self._subscriber = LogReads(pipeline, keys), LogScripts(pipeline, keys), subscriber
        self._tails: dict[str, SharedTail] = {}
        self._polls = LogPolls(self._look_at)

    @property
    def followed(self) -> dict[str, SharedTail]:
        """The tails of the runs that this process follows, by run id."""
        return self._tails

    @contextmanager
    def subscribe_before_create(self, run_id: str) -> Iterator[None]:
        """Receives the notifications of a run that will be created next, so that its first events need no read."""
        shared = self._add_follower(run_id)
        try:
            yield
        finally:
            self._remove_follower(run_id, shared)

    async def exists(self, run_id: str) -> bool:
        """Whether the log exists: it may have expired."""
        return await self._log.exists(run_id)

    async def newest(self, run_id: str) -> Event | None:
        """The last event, without its result. None if the log has expired."""
        entries = await self._log.newest(run_id)
        return Event.from_entry(run_id, entries[0]) if entries else None

    async def read(self, run_id: str, after: EventPosition = START, count: int = READ_EVENTS) -> list[Event]:
        """Up to `count` events that follow `after`, but at most a page. Empty if none follows."""
        return (await self._read_page(run_id, after, count))[0]

    async def _read_page(self, run_id: str, after: EventPosition, count: int = READ_EVENTS) -> tuple[list[Event], bool]:
        """The events that follow `after`, and whether none follows them."""
        page = await self._pages.page(run_id, f"({after[0]}-{after[1]}", count)
        events = await _decoded(run_id, page.entries)
        return await self._with_result(run_id, events), page.is_last and len(events) == len(page.entries)

    async def _with_result(self, run_id: str, events: list[Event]) -> list[Event]:
        """The same events. If the last one ends the run with the data of an earlier event as the result, that event is
        found: among these events, or by one more read. It is missing if the log has expired meanwhile, as if the log
        had expired before; a log of another run never matches, because the read contains the end too."""
        distance = events[-1].result_distance if events else 0
        if not distance:
            return events
        if distance < len(events):
            found: Event | None = events[-1 - distance]
        else:
            newest = [Event.from_entry(run_id, entry) for entry in await self._log.newest(run_id, distance + 1)]
            found = newest[distance] if len(newest) > distance and newest[0] == events[-1] else None
        return [*events[:-1], events[-1].with_result_of(found)]

    async def follow(self, run_id: str, after: str = START_ID) -> AsyncGenerator[Sequence[Event], None]:
        """Batches of all events that follow `after` (an id, `START_ID` or `NEW_ONLY`), then of new events, until the
        `end` event. If the log no longer has the events after an id, the first event is a `gap` event. If the log has
        expired, a `gap` event is all that follows an id, and nothing follows `START_ID` or `NEW_ONLY`. The `end` event
        of a replicated run comes when replicas have it. Call `aclose` to stop before the end."""
        shared = self._add_follower(run_id)
        self._polls.add(run_id)
        try:
            position = await self._start_position(run_id, after, shared)
            if position is None:
                return
            if isinstance(position, Event):
                yield [position]
                position = position.position
            async for batch in self._events_after(run_id, position, shared):
                yield batch
        finally:
            self._remove_follower(run_id, shared)

    async def _start_position(self, run_id: str, after: str, shared: SharedTail) -> EventPosition | Event | None:
        """The position of `after`. None if no event will follow, a `gap` event if the events after it have expired."""
        if after in (START_ID, "0-0"):
            return START
        await shared.wait_until_subscribed()
        if after == NEW_ONLY:
            newest = await self.newest(run_id)
            return None if newest is None or newest.is_end else newest.position
        ends = await self._log.ends(run_id)
        first, newest = [None if entry is None else Event.from_entry(run_id, entry) for entry in ends]
        if newest is not None and newest.is_end and newest.position <= event_position(after):
            return None
        if newest is None or first is None or (first.position > event_position(after) and not first.is_first):
            return gap_event(after)
        return min(event_position(after), newest.position)

    async def _events_after(
        self, run_id: str, position: EventPosition, shared: SharedTail
    ) -> AsyncGenerator[Sequence[Event], None]:
        tail = shared.tail
        while True:
            batch = tail.events_after(position)
            if batch is None:
                await shared.wait_until_subscribed()
                batch = tail.events_after(position) or await self._read_with_retries(run_id, position, tail)
            if batch:
                if batch[-1].needs_confirmation and len(batch) > 1:
                    batch = batch[:-1]  # what comes before the end does not wait
                elif batch[-1].needs_confirmation and not await self._is_confirmed(run_id, batch[-1]):
                    tail.on_notification(None)  # the server has lost the event, and the run continues
                    continue
                position = batch[-1].position
                yield await self._with_result(run_id, list(batch)) if batch[-1].result_distance else batch
                if batch[-1].is_end:
                    return
            elif tail.deleted:
                return
            elif tail.events_after(position) == []:  # no notification was received during the read
                await tail.next_notification()

    async def _is_confirmed(self, run_id: str, end: Event) -> bool:
        """Waits until replicas have the event. False if it was lost in a failover."""
        while self._replicated is not None:
            try:
                return await self._replicated.has_event(run_id, end.id)
            except StoreUnavailable as error:
                log.debug("event_log.read_delayed", run=run_id, problem=str(error))
                await asyncio.sleep(RETRY_PAUSE_S)
        return True

    async def _read_with_retries(self, run_id: str, position: EventPosition, tail: Tail) -> list[Event]:
        """Reads the stream; retries while Redis is unavailable, so that a connected client stays and receives every
        event."""
        while True:
            try:
                return await self.read_into_tail(run_id, position, tail)
            except StoreUnavailable as error:
                log.debug("event_log.read_delayed", run=run_id, problem=str(error))
                await asyncio.sleep(RETRY_PAUSE_S)

    async def read_into_tail(self, run_id: str, position: EventPosition, tail: Tail) -> list[Event]:
        """Reads the stream. If the read reaches the end of the stream, the tail continues from there."""
        return (await self._read_into_tail(run_id, position, tail))[0]

    async def _read_into_tail(self, run_id: str, position: EventPosition, tail: Tail) -> tuple[list[Event], bool]:
        """Does the same. Also returns whether the read reached the end of the stream."""
        breaks = tail.breaks
        events, is_last = await self._read_page(run_id, position)
        if is_last and tail.breaks == breaks:
            tail.set_end(events[-1].position if events else position)
        if not events and not await self.exists(run_id):
            tail.deleted = True
        return events, is_last

    async def _look_at(self, run_ids: Sequence[str]) -> None:
        """Reads what the tails of these runs miss. The followers of a tail that is not usable read the log."""
        followed = {run_id: self._tails[run_id].tail for run_id in run_ids if run_id in self._tails}
        ends = {run_id: tail.end for run_id, tail in followed.items() if tail.end is not None}
        for run_id in followed.keys() - ends:
            followed[run_id].notify_followers()
        for run_id in await self._pages.behind(ends) if ends else ():
            shared = self._tails.get(run_id)
            if shared is not None and shared.tail.end == ends[run_id]:  # no notification has arrived meanwhile
                shared.tail.missed += 1
                self._start_reading(run_id)

    async def read_missed(self, run_id: str, tail: Tail) -> None:
        """Reads the events that follow the tail and adds them to it. If notifications may have been lost during the
        read, the end of the log is unknown. Then every follower reads the stream itself."""
        is_last = False
        while not is_last and (end := tail.end) is not None:
            breaks = tail.breaks
            missed, is_last = await self._read_into_tail(run_id, end, tail)
            if not missed or tail.breaks != breaks:
                return
            tail.add(end, missed)
            tail.notify_followers()

    def _start_reading(self, run_id: str) -> None:
        shared = self._tails[run_id]
        if shared.reading is None:
            shared.reading = asyncio.create_task(self._read_all_missed(run_id, shared), name=f"read {run_id}")

    async def _read_all_missed(self, run_id: str, shared: SharedTail) -> None:
        """Reads until the tail misses nothing."""
        tail = shared.tail
        try:
            while missed := tail.missed:
                try:
                    await self.read_missed(run_id, tail)
                except StoreUnavailable as error:
                    log.debug("event_log.read_delayed", run=run_id, problem=str(error))
                    await asyncio.sleep(RETRY_PAUSE_S)
                    continue
                if tail.missed == missed:
                    tail.missed = 0
                    tail.notify_followers()
        except Exception:  # each follower reads the stream, and raises it
            tail.missed = 0
            tail.on_notification(None)
        finally:
            shared.reading = None

    def _add_follower(self, run_id: str) -> SharedTail:
        shared = self._tails.get(run_id)
        if shared is None:
            tail = Tail(run_id, partial(self._start_reading, run_id))
            channel = self._log.channel(run_id)
            shared = SharedTail(self._subscriber.subscribe(channel, tail.on_notification), tail)
            self._tails[run_id] = shared
        shared.followers += 1
        return shared

    def _remove_follower(self, run_id: str, shared: SharedTail) -> None:
        shared.followers -= 1
        if shared.followers == 0:
            self._subscriber.unsubscribe(self._log.channel(run_id))
            del self._tails[run_id]
            self._polls.remove(run_id)
            if shared.reading is not None:
                shared.reading.cancel()


async def _decoded(run_id: str, entries: Sequence[RawEntry]) -> list[Event]:
    """The events of entries of a run's log, up to `READ_BYTES`. The event loop continues after each large one."""
    events: list[Event] = []
    size = 0
    for entry in entries:
        events.append(Event.from_entry(run_id, entry))
        size += len(events[-1].block)
        if size >= READ_BYTES:
            break
        if len(events[-1].block) >= LARGE_BYTES:
            await let_others_continue()
    return events
