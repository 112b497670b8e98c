"""The events of a thread by the event protocol.

Redis does not store these events. The event logs of the thread's runs are followed and translated (`run_translator`)
for each client of the event protocol. Each translation starts at the first event of a run, because the number and the
content of an event depend on all events before it.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from slipway.errors import StoreUnavailable
from slipway.event_protocol.protocol_event import ORDINAL_BITS, ProtocolEvent, base_number
from slipway.event_protocol.run_translator import RunTranslator, TranslatedRun
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.run_options import RunOptions, options_from
from slipway.runs.event_log import EventLog
from slipway.runs.events import START
from slipway.runs.reads import RunReads
from slipway.threads.thread_follower import RunEvents, StartedRun, ThreadFollower
from slipway.threads.thread_position import ThreadPosition

_RETRY_PAUSE_S: Final = 0.5
_INTERRUPT_ID: Final = re.compile(r"[0-9a-f]{32}")


class ProtocolLog:
    """Reads and follows threads for clients of the event protocol."""

    def __init__(self, pipeline: Pipeline, keys: Keys, follower: ThreadFollower, events: EventLog) -> None:
        self._runs, self._follower, self._events = RunReads(pipeline, keys), follower, events

    async def follow(
        self, thread_id: str, since: int = 0, incarnation: str | None = None
    ) -> AsyncGenerator[list[ProtocolEvent], None]:
        """Batches of the existing events with a number above `since`, then of new events, until the thread is deleted.
        If the thread does not exist yet, waits until it exists. With `incarnation`, ends at once if that thread was
        deleted. Waits while Redis is unavailable. Call `aclose` to stop before the end."""
        since = await self._valid_since(thread_id, since)
        after = ThreadPosition(max(since >> ORDINAL_BITS, 1) - 1, 1)
        run, translator = StartedRun(0, ""), None
        async with aclosing(self._follower.follow(thread_id, after, incarnation=incarnation, may_be_new=True)) as items:
            async for item in items:
                if not isinstance(item, RunEvents):
                    continue
                if item.run != run:
                    run, translator = item.run, await self._translator_with_retries(item.run)
                if translator is None:
                    continue
                events = [event for entry in item.events for event in translator.apply(entry) if event.seq > since]
                if events:
                    yield events

    async def incarnation(self, thread_id: str) -> str | None:
        """The incarnation of the thread (its creation time). None while it does not exist."""
        return (await self._follower.progress(thread_id)).incarnation

    async def replay(
        self, thread_id: str, since: int = 0, through: int | None = None
    ) -> AsyncGenerator[list[ProtocolEvent], None]:
        """Batches of the existing events whose number is above `since` and not above `through`. Raises
        `StoreUnavailable`."""
        last = sys.maxsize if through is None else through
        for run in await self._started_runs(thread_id, (since >> ORDINAL_BITS) - 1):
            async with aclosing(self._existing_events(run)) as batches:
                async for batch in batches:
                    if inside := [event for event in batch if since < event.seq <= last]:
                        yield inside
                    if batch[-1].seq > last:
                        return

    async def events_until_now(self, thread_id: str, run_id: str | None = None) -> AsyncGenerator[ProtocolEvent, None]:
        """The existing events of one run: `run_id`, or the run that started last. Yields nothing if the run has not
        started, if its log has expired, or if it belongs to another thread. Raises `StoreUnavailable`."""
        runs = [run for run in await self._started_runs(thread_id, 0) if run_id in (None, run.run_id)]
        for run in runs[-1:]:
            async with aclosing(self._existing_events(run)) as batches:
                async for batch in batches:
                    for event in batch:
                        yield event

    async def applied_through(self, thread_id: str) -> int:
        """A number that is lower than the number of every event of runs that are created from now on, and higher than
        that of every event of the runs that have ended."""
        progress = await self._follower.progress(thread_id)
        if progress.active_run_id is not None:
            (ordinal,) = await self._runs.ordinals([progress.active_run_id])
            return base_number(ordinal)
        return base_number(progress.last_ordinal + 1)

    async def oldest(self, thread_id: str) -> int:
        """The lowest number that can still be replayed."""
        progress = await self._follower.progress(thread_id)
        for run in await self._follower.started_runs(thread_id, 0, progress.last_ordinal):
            if await self._events.exists(run.run_id):
                return base_number(run.ordinal) + 1
        return base_number(progress.last_ordinal + 1) + 1

    async def _started_runs(self, thread_id: str, after_ordinal: int) -> list[StartedRun]:
        progress = await self._follower.progress(thread_id)
        return await self._follower.started_runs(thread_id, max(after_ordinal, 0), progress.last_ordinal)

    async def _valid_since(self, thread_id: str, since: int) -> int:
        """`since`, or 0 if no run of the thread can have had this number: then it is from a deleted thread."""
        while True:
            try:
                progress = await self._follower.progress(thread_id)
                return since if since >> ORDINAL_BITS <= progress.last_ordinal + 1 else 0
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _existing_events(self, run: StartedRun) -> AsyncGenerator[list[ProtocolEvent], None]:
        translator, position = await self._translator(run), START
        while translator is not None and (entries := await self._events.read(run.run_id, position)):
            position = entries[-1].position
            if events := [event for entry in entries for event in translator.apply(entry)]:
                yield events

    async def _translator_with_retries(self, run: StartedRun) -> RunTranslator | None:
        while True:
            try:
                return await self._translator(run)
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _translator(self, run: StartedRun) -> RunTranslator | None:
        """None if the run was deleted in between."""
        start = await self._runs.start(run.run_id)
        if start is None:
            return None
        options = options_from(start.kwargs, run.run_id)
        return RunTranslator(
            TranslatedRun(
                ordinal=run.ordinal,
                run_id=run.run_id,
                graph_id=start.graph_id,
                started_ms=None if start.started_us is None else start.started_us // 1000,
                answers=_answered_interrupts(options),
                modes=frozenset(options.stream_mode),
            )
        )


def _answered_interrupts(options: RunOptions) -> list[str]:
    """The ids of the interrupts that the run answers, if it answers by id."""
    resume = (options.command or {}).get("resume")
    if isinstance(resume, dict) and resume and all(_INTERRUPT_ID.fullmatch(name) for name in resume):
        return list(resume)
    return []
