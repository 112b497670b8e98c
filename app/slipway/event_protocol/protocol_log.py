"""What the event protocol tells of a thread: its runs one after the other, in the order of their turns.

There is no such log in Redis. The runs' own logs are followed and translated (`run_translator`), each from its start,
for a translation that begins in the middle would number and say other things. So watching costs those who watch.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Final

from slipway.errors import StoreUnavailable
from slipway.event_protocol.run_translator import ORDINAL_BITS, ProtocolEvent, RunTranslator, StartedRun, base_number
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.run_options import RunOptions, options_from
from slipway.runs.event_log import START, EventLog
from slipway.runs.reads import RunReads
from slipway.threads.notifications import ThreadNotifications
from slipway.threads.reads import ThreadReads

_LOOK_EVERY_S: Final = 15.0
_AGAIN_S: Final = 0.5
_INTERRUPT_ID: Final = re.compile(r"[0-9a-f]{32}")


class ProtocolLog:
    """Following threads by the event protocol."""

    def __init__(self, pipeline: Pipeline, keys: Keys, wakes: ThreadNotifications, events: EventLog) -> None:
        self._threads, self._runs = ThreadReads(pipeline, keys), RunReads(pipeline, keys)
        self._wakes, self._events = wakes, events

    async def follow(self, thread_id: str, since: int = 0) -> AsyncGenerator[list[ProtocolEvent], None]:
        """Batches of the events whose number is above `since`, then live, until the thread is deleted; one that does
        not exist has none until it does. Waits while Redis is away. Close it (`aclose`) to stop early."""
        with self._wakes.woken(thread_id) as (subscribed, woken):
            await subscribed
            done, known = max(since >> ORDINAL_BITS, 1) - 1, set[str]()
            born: str | None = None
            while True:
                woken.clear()
                now_born, newest, turns = await self._turns_at_last(thread_id, done, known)
                if born is not None and now_born != born:
                    return
                born = now_born
                if newest < done:  # the thread was removed, and perhaps made anew
                    done, since = 0, 0
                    known.clear()
                    continue
                for number, run_id in turns:
                    done = number
                    known.add(run_id)
                    async with aclosing(self._run(number, run_id, since)) as batches:
                        async for batch in batches:
                            yield batch
                if not turns:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):  # `wait_for` may lose a cancellation on Python 3.11
                            await woken.wait()

    async def replay(
        self, thread_id: str, since: int = 0, through: int | None = None
    ) -> AsyncGenerator[list[ProtocolEvent], None]:
        """Batches of the events that the thread has had by now: those whose number is above `since` and not above
        `through`. Raises `StoreUnavailable`."""
        last = sys.maxsize if through is None else through
        _, _, turns = await self._turns(thread_id, (since >> ORDINAL_BITS) - 1, set())
        for number, run_id in turns:
            async with aclosing(self._run_so_far(number, run_id)) as batches:
                async for batch in batches:
                    if inside := [event for event in batch if since < event.seq <= last]:
                        yield inside
                    if batch[-1].seq > last:
                        return

    async def so_far(self, thread_id: str, run_id: str | None = None) -> AsyncGenerator[ProtocolEvent, None]:
        """The events that one run has had by now: the newest, or the named one. None when its turn has not come, when
        its log is not kept any more, and when it is none of the thread. Raises `StoreUnavailable`."""
        _, _, turns = await self._turns(thread_id, 0, set())
        wanted = [(number, found) for number, found in turns if run_id in (None, found)][-1:]
        for number, found in wanted:
            async with aclosing(self._run_so_far(number, found)) as batches:
                async for batch in batches:
                    for event in batch:
                        yield event

    async def _run_so_far(self, number: int, run_id: str) -> AsyncGenerator[list[ProtocolEvent], None]:
        turn = await self._turn(number, run_id)
        if turn is None:
            return
        translator, place = RunTranslator(turn), START
        while entries := await self._events.read(run_id, place):
            place = entries[-1].place
            if events := [event for entry in entries for event in translator.take(entry)]:
                yield events

    async def applied_through(self, thread_id: str) -> int:
        """A number that no event of a run made from now on is below, and no event of the runs that are over above."""
        started_runs, active = await self._threads.started_runs(thread_id)
        if active is not None:
            (ordinal,) = await self._runs.ordinals([active])
            return base_number(ordinal)
        return base_number(started_runs + 1)

    async def oldest(self, thread_id: str) -> int:
        """The first number that is still told."""
        _, turns, found = await self._turns(thread_id, 0, set())
        for number, run_id in found:
            if await self._events.exists(run_id):
                return base_number(number) + 1
        return base_number(turns + 1) + 1

    async def _run(self, number: int, run_id: str, since: int) -> AsyncGenerator[list[ProtocolEvent], None]:
        turn = await self._turn_at_last(number, run_id)
        if turn is None:
            return
        translator = RunTranslator(turn)
        async with aclosing(self._events.follow(run_id)) as batches:
            async for batch in batches:
                events = [event for entry in batch for event in translator.take(entry) if event.seq > since]
                if events:
                    yield events

    async def _turns_at_last(
        self, thread_id: str, after: int, known: set[str]
    ) -> tuple[str | None, int, list[tuple[int, str]]]:
        while True:
            try:
                return await self._turns(thread_id, after, known)
            except StoreUnavailable:
                await asyncio.sleep(_AGAIN_S)

    async def _turns(
        self, thread_id: str, after: int, known: set[str]
    ) -> tuple[str | None, int, list[tuple[int, str]]]:
        """When the thread was made, its newest turn, and those that follow `after`, in order. `known` grows by what
        need not be looked at again."""
        thread = await self._threads.runs(thread_id)
        unknown = [run_id for run_id in thread.run_ids if run_id not in known]
        found = []
        for run_id, number in zip(unknown, await self._runs.ordinals(unknown), strict=True):
            if number > after:
                found.append((number, run_id))
            elif number:
                known.add(run_id)
        return thread.incarnation, thread.started_runs, sorted(found)

    async def _turn_at_last(self, number: int, run_id: str) -> StartedRun | None:
        while True:
            try:
                return await self._turn(number, run_id)
            except StoreUnavailable:
                await asyncio.sleep(_AGAIN_S)

    async def _turn(self, number: int, run_id: str) -> StartedRun | None:
        """None when the run was removed meanwhile."""
        start = await self._runs.start(run_id)
        if start is None:
            return None
        options = options_from(start.kwargs)
        started_ms = None if start.started_us is None else start.started_us // 1000
        modes = frozenset(options.stream_mode)
        return StartedRun(number, run_id, start.graph_id, started_ms, _answered(options), modes)


def _answered(options: RunOptions) -> list[str]:
    """The interrupts that a run answers by their ids."""
    resume = (options.command or {}).get("resume")
    if isinstance(resume, dict) and resume and all(_INTERRUPT_ID.fullmatch(name) for name in resume):
        return list(resume)
    return []
