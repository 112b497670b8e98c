"""What happens in a thread, one run after the other, with what was written to its state in between.

There is no log of the thread: its runs are followed in the order of their turns, and every id says the run's turn and
the place in the run's own log. So ids are unique and ordered across runs, and a reader goes on from any of them.

    <created_at of the run in µs>-<2 × its event's id as one number>       the run's events
                                  and one more: the run is done
    <time of the write in µs>-1                                            a state that was written from outside
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from slipway.access.users import User
from slipway.errors import NotFound
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.runs.event_log import Event, EventLog, Place, place_of
from slipway.runs.reads import RunReads
from slipway.serialization.json_encoding import dumps
from slipway.sse_frames import encode_block, frame_of, with_id
from slipway.threads.notifications import ThreadNotifications
from slipway.threads.reads import ThreadReads
from slipway.threads.state_store import ThreadStateStore

_LOOK_EVERY_S: Final = 15.0
"""How often a reader looks for what it was not told of."""
_PER_MS: Final = 1_000_000
_ID: Final = re.compile(r"(\d{1,100})(?:-(\d{1,100}|\*))?", re.ASCII)

Kind = Literal["begin", "event", "end", "done", "state"]


class Position(NamedTuple):
    """Where a reader is: the turn, and how much of it was read (0: nothing; odd: all of it)."""

    turn_us: int
    read: int

    def __str__(self) -> str:
        return f"{self.turn_us}-{self.read}"

    @property
    def place(self) -> Place:
        """The id in the run's own log."""
        return divmod(self.read // 2, _PER_MS)


START: Final = Position(0, 1)


def position_of(text: str) -> Position | None:
    """The position an id stands for; `-` is the beginning. None when it is no id."""
    if text == "-":
        return START
    found = _ID.fullmatch(text)
    if found is None:
        return None
    return Position(int(found[1]), 1 if found[2] == "*" else int(found[2] or 0))


def _in_run(turn_us: int, place: Place) -> Position:
    return Position(turn_us, 2 * (place[0] * _PER_MS + place[1]))


@dataclass(frozen=True, slots=True)
class ThreadEvent:
    """`kind` is what it means for the thread; `block` is what a client gets."""

    kind: Kind
    block: bytes


class ThreadLog:
    """Following threads."""

    def __init__(
        self, pipeline: Pipeline, keys: Keys, wakes: ThreadNotifications, events: EventLog, states: ThreadStateStore
    ) -> None:
        self._reads, self._run_reads, self._wakes = ThreadReads(pipeline, keys), RunReads(pipeline, keys), wakes
        self._events, self._states = events, states

    async def follow(
        self, thread_id: str, after: Position | None = None, user: User | None = None
    ) -> AsyncGenerator[list[ThreadEvent], None]:
        """Batches of what follows `after` (None: only what is new), then live until the thread is removed. `user` is
        the one who reads: a factory that makes the graph for a state gets it. Close it (`aclose`) to stop early."""
        with self._wakes.woken(thread_id) as (subscribed, woken):
            await subscribed
            at = await self._start(thread_id, after)
            born = await self._reads.incarnation(thread_id)
            resumed = at if at.read % 2 == 0 else None  # within a turn, which then comes next
            turn = at.turn_us - 1 if resumed else at.turn_us
            while True:
                woken.clear()
                found = await self._next(thread_id, turn, born)
                if found is None:
                    return
                turn_us, kind, ident = found
                if not kind:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY_S):  # `wait_for` may lose a cancellation on Python 3.11
                            await woken.wait()
                    continue
                turn, at = turn_us, resumed if resumed and resumed.turn_us == turn_us else Position(turn_us, 0)
                batches = self._run(ident, at) if kind == "run" else self._state(thread_id, turn_us, ident, user)
                async with aclosing(batches):
                    async for batch in batches:
                        yield batch

    async def _start(self, thread_id: str, after: Position | None) -> Position:
        """Where a reader begins. A position in the future is none of ours: its reader gets only what is new."""
        if after is not None:
            now_us = await self._reads.now_us()
            if after.turn_us < (now_us // _PER_MS + 1) * _PER_MS:
                return after
        return await self._now(thread_id)

    async def _now(self, thread_id: str) -> Position:
        """The end of what is there: within the active run, else before the first that waits."""
        progress = await self._reads.progress(thread_id)
        ends = [Position(progress.now_us, 1)]
        if progress.next_queued_us is not None:
            ends.append(Position(progress.next_queued_us - 1, 1))
        if (active := progress.active_run_id) is not None:
            turn_us, last = await asyncio.gather(
                self._reads.order_us(thread_id, active), self._run_reads.last_event(active)
            )
            if turn_us is not None and last is not None:
                ends.append(_in_run(turn_us, place_of(last)))
        return min(ends)

    async def _next(self, thread_id: str, after_us: int, born: str | None) -> tuple[int, str, str] | None:
        """The turn that follows: its time, "run" or "state", and its id; ("", "") when there is none yet, None when
        the thread that was `born` then is gone."""
        following = await self._reads.following(thread_id, after_us)
        if born is None or following.incarnation != born:
            return None
        both = (("run", following.run), ("state", following.state))
        turns = [(found[0], kind, found[1]) for kind, found in both if found is not None]
        # a run that is delayed has its turn later; those made meanwhile come before it
        turns = [turn for turn in turns if turn[0] <= following.now_us]
        if not turns or (min(turns)[1] == "run" and not await self._run_reads.has_started(min(turns)[2])):
            return 0, "", ""
        return min(turns)

    async def _run(self, run_id: str, at: Position) -> AsyncGenerator[list[ThreadEvent], None]:
        after = "0" if at.read == 0 else "{}-{}".format(*at.place)
        async with aclosing(self._events.follow(run_id, after)) as batches:
            async for batch in batches:
                yield [_of_run(at.turn_us, event) for event in batch]
                at = _in_run(at.turn_us, batch[-1].place)
        if at.read:
            data = dumps({"status": "run_done", "run_id": run_id})
            done = Position(at.turn_us, at.read + 1)
            yield [ThreadEvent("done", _block("metadata", data, done))]

    async def _state(
        self, thread_id: str, turn_us: int, checkpoint_id: str, user: User | None
    ) -> AsyncGenerator[list[ThreadEvent], None]:
        with suppress(NotFound):
            state = await self._states.get(thread_id, {"checkpoint_id": checkpoint_id}, user=user)
            data = dumps({"state": state, "thread_id": thread_id})
            yield [ThreadEvent("state", _block("state_update", data, Position(turn_us, 1)))]


def _of_run(turn_us: int, event: Event) -> ThreadEvent:
    block = with_id(frame_of(event.block), str(_in_run(turn_us, event.place)))
    return ThreadEvent("begin" if event.name == "metadata" else "end" if event.last else "event", block)


def _block(name: str, data: bytes, at: Position) -> bytes:
    return encode_block(name, data, str(at))
