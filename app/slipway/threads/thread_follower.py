"""Follows a thread: its runs in the order of their ordinals, and the states that were written between them.

A thread has no log of its own. A follower reads which runs have an ordinal, follows their event logs one after the
other, and waits for notifications of the thread. The stream of a thread and the event protocol translate what a
follower yields.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

from slipway.errors import StoreUnavailable
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.event_log import EventLog
from slipway.runs.events import Event, event_position
from slipway.runs.reads import RunReads
from slipway.threads.notifications import ThreadNotifications
from slipway.threads.reads import ThreadProgress, ThreadReads
from slipway.threads.thread_position import ThreadPosition, end_of_run, event_in_run, run_start, state_write

_POLL_S: Final = 15.0
"""Interval at which a follower checks the thread although no notification was received."""
_RETRY_PAUSE_S: Final = 0.5
_PAGE: Final = 16
"""Runs of the first read for their ordinals; each further read takes twice as many."""


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that has an ordinal."""

    ordinal: int
    run_id: str


@dataclass(frozen=True, slots=True)
class RunEvents:
    """The next events of a run. `position` is that of the last one."""

    run: StartedRun
    events: list[Event]
    position: ThreadPosition


@dataclass(frozen=True, slots=True)
class RunDone:
    """The run has no more events."""

    run: StartedRun
    position: ThreadPosition


@dataclass(frozen=True, slots=True)
class StateWritten:
    """A state was written from outside a run."""

    checkpoint_id: str
    position: ThreadPosition


ThreadItem = RunEvents | RunDone | StateWritten


@dataclass(frozen=True, slots=True)
class _Entry:
    position: ThreadPosition
    source: StartedRun | StateWritten


class ThreadFollower:
    """Reads state writes and the logs of all runs of a thread, in the order of the ordinals."""

    def __init__(self, pipeline: Pipeline, keys: Keys, notifications: ThreadNotifications, events: EventLog) -> None:
        self._reads, self._runs = ThreadReads(pipeline, keys), RunReads(pipeline, keys)
        self._notifications, self._events = notifications, events

    async def follow(
        self, thread_id: str, after: ThreadPosition, *, incarnation: str | None = None, may_be_new: bool = False
    ) -> AsyncGenerator[ThreadItem, None]:
        """Everything that follows `after`, then new items until the thread is deleted. With `may_be_new`, waits for a
        thread that does not exist yet. With `incarnation`, another thread with this id has no items. Waits while Redis
        is unavailable. Call `aclose` to stop before the end."""
        with self._notifications.notified(thread_id) as (subscribed, notified):
            await subscribed
            position = after
            while True:
                notified.clear()
                progress, entries = await self._entries_with_retries(thread_id, position)
                if progress.incarnation != incarnation:
                    if incarnation is not None:
                        return
                    incarnation = progress.incarnation
                if incarnation is None and not may_be_new:
                    return
                for entry in entries:
                    position = entry.position
                    if isinstance(entry.source, StateWritten):
                        yield entry.source
                        continue
                    async with aclosing(self._follow_run(entry.source, position)) as items:
                        async for item in items:
                            position = item.position
                            yield item
                    if position.is_within_run:  # its log has expired
                        position = end_of_run(position)
                # Every ordinal so far was covered; the runs that are missing were deleted.
                position = max(position, ThreadPosition(progress.last_ordinal, 1))
                if not entries:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_POLL_S):  # `wait_for` can lose a cancellation on Python 3.11
                            await notified.wait()

    async def end_position(self, thread_id: str) -> ThreadPosition:
        """The position after all events so far. It lies within the run that executes, or that is queued again."""
        progress = await self._reads.progress(thread_id)
        unfinished = progress.active_run_id or await self._reads.first_queued_run(thread_id)
        if unfinished is not None:
            (ordinal,), last = await self._runs.ordinals([unfinished]), await self._runs.last_event(unfinished)
            if ordinal and last is not None:
                return event_in_run(ordinal, event_position(last))
        return state_write(progress.last_ordinal, await self._reads.now_us())

    async def progress(self, thread_id: str) -> ThreadProgress:
        """How far the runs of the thread are."""
        return await self._reads.progress(thread_id)

    async def started_runs(self, thread_id: str, after_ordinal: int, last_ordinal: int) -> list[StartedRun]:
        """The runs with an ordinal above `after_ordinal`, in this order; deleted runs are missing. `last_ordinal` is
        the highest ordinal that exists.

        The newest runs are read first, because runs start nearly in the order in which they are created. Reading stops
        when every ordinal was found.
        """
        runs: list[StartedRun] = []
        expected, offset = last_ordinal - after_ordinal, 0
        page = max(_PAGE, expected)
        while len(runs) < expected:
            run_ids = await self._reads.newest_runs(thread_id, offset, offset + page - 1)
            for run_id, ordinal in zip(run_ids, await self._runs.ordinals(run_ids), strict=True):
                if after_ordinal < ordinal <= last_ordinal:
                    runs.append(StartedRun(ordinal, run_id))
            if len(run_ids) < page:
                break
            offset, page = offset + page, 2 * page
        return sorted(runs, key=lambda run: run.ordinal)

    async def _entries_with_retries(self, thread_id: str, after: ThreadPosition) -> tuple[ThreadProgress, list[_Entry]]:
        while True:
            try:
                return await self._read_entries(thread_id, after)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _read_entries(self, thread_id: str, after: ThreadPosition) -> tuple[ThreadProgress, list[_Entry]]:
        """The runs and states after `after`, in order. The states are read after the ordinals: every state that
        precedes a run was written before that run got its ordinal."""
        progress = await self._reads.progress(thread_id)
        before = after.ordinal - 1 if after.is_within_run else after.ordinal
        runs = await self.started_runs(thread_id, before, progress.last_ordinal)
        entries = [_Entry(after if run.ordinal == after.ordinal else run_start(run.ordinal), run) for run in runs]
        entries += [
            _Entry(state.position, state)
            for state in await self._states(thread_id, after.ordinal, progress.last_ordinal)
            if state.position > after
        ]
        return progress, sorted(entries, key=lambda entry: entry.position)

    async def _states(self, thread_id: str, first_ordinal: int, last_ordinal: int) -> list[StateWritten]:
        writes = await self._reads.state_writes(thread_id, first_ordinal, last_ordinal)
        return [StateWritten(each.checkpoint_id, state_write(each.ordinal, each.time_us)) for each in writes]

    async def _follow_run(self, run: StartedRun, after: ThreadPosition) -> AsyncGenerator[RunEvents | RunDone, None]:
        position = after
        async with aclosing(self._events.follow(run.run_id, after.event_id)) as batches:
            async for batch in batches:
                position = event_in_run(run.ordinal, batch[-1].position)
                yield RunEvents(run, list(batch), position)
        if position.offset:
            yield RunDone(run, end_of_run(position))
