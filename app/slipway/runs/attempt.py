"""An attempt at a run: everything it writes is fenced by its number, and grouped.

An attempt that was thought dead finds out at its next write: the script compares its number with the run's, changes
nothing, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog

from slipway import failpoints
from slipway.errors import Fenced, StoreUnavailable
from slipway.redis.commands import Command
from slipway.runs.cancel_reasons import Action
from slipway.runs.logged_events import LoggedEvents
from slipway.runs.runs import Run
from slipway.runs.scripts import Entry, RunRelease, RunSettle, Scripts

log = structlog.get_logger(__name__)

_FULL_BYTES: Final = 1024 * 1024
"""Events waiting to be written beyond which `room` makes their maker wait."""

_AHEAD: Final = 4
"""Groups that may be under way while the graph goes on."""

_COMPANY_S: Final = 0.02
"""How long commands that nobody follows wait for events to share their group. The events of a superstep follow its
writes within a few turns of the event loop, unless they are of a subgraph and nobody wants them."""


_TURNS_OF_A_CHUNK: Final = 8
"""Turns of the event loop after which a chunk that a node has streamed has been read and appended, unless the reader
waits in `room`: LangGraph hands it on through a queue. Two are enough for its own stream modes; the rest is a margin,
and costs microseconds. Turns are counted, not time: on a slow machine each takes longer, and the reader needs as many.
"""


class _Group:
    """What goes to Redis together. `waits` says that an earlier one has to be sent again before it."""

    __slots__ = ("commands", "entries", "landed", "seq", "size_bytes", "waits")

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self.commands: list[Command] = []
        self.landed: asyncio.Future[None] | None = None
        self.size_bytes = 0
        self.seq = 0
        self.waits = False

    def __bool__(self) -> bool:
        return bool(self.entries or self.commands)


class Attempt:
    """One try at a run by one worker. It is the `Writer` of the run's checkpointer and the only one who appends to
    its log. What is put into it in one turn of the event loop, and while an earlier group is under way, lands
    together: one fenced script, one round trip.

    When `eager`, a write does not wait to land. But before the nodes of a superstep run, everything before them has
    been handed to the operating system (`room`), which delivers it even if this process is killed: so a crash costs
    the superstep in flight and no other. Only when the way to Redis breaks in the same moment, too, may it cost up
    to `_AHEAD` more. A process that stood still for so long that its lease may have ended asks Redis first.

    `on_stop` is called, once for each reason, when the attempt learns that it must stop: with the way to cancel, or
    with None when it has lost its run.
    """

    def __init__(self, scripts: Scripts, run: Run, on_stop: Callable[[Action | None], None] | None = None) -> None:
        self.run, self.number = run, run.attempt
        self.on_stop = on_stop
        self.cancel: Action | None = run.cancel
        self.lost = False
        self._scripts = scripts
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._group = _Group()
        self._flying: list[_Group] = []
        self._due = False
        self._later: asyncio.TimerHandle | None = None
        self._reading = False
        """Whether chunks have been appended whose writes are about to be put."""
        self._waiting: list[Command] = []
        """Writes of the checkpointer whose events may not have been appended yet."""
        self._taken = 0
        """How many have waited before these."""
        self._reader_goes_on = asyncio.Event()
        """Not set while the reader of the stream waits in `room`, and chunks may be unread."""
        self._reader_goes_on.set()
        self._boarding = False
        """Whether the group is about to be taken along, by the boundary of a superstep or by the end of the run."""
        self.eager = True
        self.surely_ours: Callable[[], bool] = lambda: True
        """Whether nobody else can have taken the run: asked before a superstep, and Redis where it is not so."""

    def append(self, name: str, frame: bytes, mark: str = "") -> None:
        """Put an event into the run's log. `mark` is stored beside it for the attempts that follow (`logged`)."""
        self._group.entries.append((f"{name}\n{mark}" if mark else name, frame))
        self._group.size_bytes += len(frame)
        self.caught_up()

    def put(self, command: Command) -> None:
        """Put a command into the next group, without waiting for it."""
        self._group.commands.append(command)
        self._fly_later()

    async def write(self, commands: Sequence[Command]) -> None:
        """Return once Redis has `commands`. When `eager`, return at once: they wait a moment for the events that the
        graph streamed before it wrote (`caught_up`). These events land with the commands or before them: once a
        checkpoint is stored, its superstep is not executed again, and events that were not stored would be lost. Raises
        `Fenced` or `StoreUnavailable`."""
        if self.lost:
            raise self._fenced()
        self._waiting.extend(commands)
        if self.eager:
            self._fly_later()
            return
        written = self._written
        await self._chunks_read()
        self._take_waiting(written)
        await self._landing(self._group)

    @property
    def _written(self) -> int:
        """How many writes there have been."""
        return self._taken + len(self._waiting)

    async def _chunks_read(self) -> None:
        """Return once what the graph streamed until now has been appended."""
        turns = 0
        while turns < _TURNS_OF_A_CHUNK:
            if not self._reader_goes_on.is_set():
                await self._reader_goes_on.wait()
                turns = 0
            await asyncio.sleep(0)
            turns += 1

    def caught_up(self) -> None:
        """A chunk of the graph's stream was appended. To be called by the task that reads the stream.

        LangGraph streams what a task returned in the moment in which it begins to store it, and chunks are read without
        a pause while there are any, but in `room`. So what it began to store before this moment has its events in the
        group, and is written when the callbacks that were due before this one have run."""
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._has_caught_up)

    def _has_caught_up(self) -> None:
        self._reading = False
        if self._reader_goes_on.is_set():
            self._take_waiting(self._written)
        if self._group:
            self._fly()

    def _take_waiting(self, written: int) -> None:
        """Put the first so many writes of the attempt into the group, but for those that are there already."""
        count = max(written - self._taken, 0)
        waiting, self._waiting = self._waiting[:count], self._waiting[count:]
        self._taken += count
        self._group.commands.extend(waiting)
        self._group.size_bytes += sum(len(word) for command in waiting for word in command if isinstance(word, bytes))

    def begin_superstep(self) -> None:
        """The nodes of a superstep are about to run, once there is `room`."""
        self._boarding = self.eager

    async def logged(self) -> LoggedEvents:
        """What earlier attempts have appended to the log."""
        return await self._scripts.logged_events(self.run.run_id)

    async def flush(self) -> None:
        """Return once Redis has everything that was put so far. Raises `Fenced`, also when what was put is lost by now,
        or `StoreUnavailable`."""
        if self._waiting:
            await self._chunks_read()
            self._take_waiting(self._written)
        while self._group:
            await self._landing(self._group)
        await self._all_landed()
        if self.lost:
            raise self._fenced()

    async def room(self) -> None:
        """Return when the graph may go on: not too much is waiting to be written, and nothing of what was before a
        superstep that begins would be lost with this process. Raises `Fenced` or `StoreUnavailable`."""
        if not self._boarding and self._group.size_bytes <= _FULL_BYTES:
            return
        self._reader_goes_on.clear()
        try:
            while self._group.size_bytes > _FULL_BYTES:
                await self._landing(self._group)
            if self._boarding:
                await self._send_off()
        finally:
            self._reader_goes_on.set()

    async def _send_off(self) -> None:
        await asyncio.sleep(0)  # LangGraph's task that puts the last superstep's checkpoint has its turn
        self._boarding = False
        self._take_waiting(self._written)
        self._fly_now()
        if self._flying and not (await self._scripts.sent() and self.surely_ours()):
            await self._all_landed()
        while len(self._flying) > _AHEAD:
            await self._landing(self._flying[0])

    async def _all_landed(self) -> None:
        while self._flying:
            await self._landing(self._flying[-1])

    async def _landing(self, group: _Group) -> None:
        if self.lost:
            raise self._fenced()
        if group.landed is None:
            group.landed = self._loop.create_future()
        self._fly_soon()
        await asyncio.shield(group.landed)

    def _fly_soon(self) -> None:
        if not self._due and not self._flying:
            self._due = True
            self._loop.call_soon(self._fly)

    def _fly_later(self) -> None:
        if self._later is None:
            self._later = self._loop.call_later(_COMPANY_S, self._fly_alone)

    def _fly_alone(self) -> None:
        self._later = None
        self._fly_after(_TURNS_OF_A_CHUNK, self._written)

    def _fly_after(self, turns: int, written: int) -> None:
        """The first so many writes go after so many turns of the event loop in which the stream is read."""
        if not self._reader_goes_on.is_set():
            self._fly_later()
        elif turns:
            self._loop.call_soon(self._fly_after, turns - 1, written)
        else:
            self._take_waiting(written)
            self._fly()

    def _fly(self) -> None:
        self._due = False
        if not self._flying and not self._reading and (not self._boarding or self._group.landed is not None):
            self._fly_now()

    def _fly_now(self) -> None:
        group, self._group = self._group, _Group()
        if self.lost:
            self._landed(group, self._fenced())
        elif not group:
            self._landed(group, None)
        else:
            self._seq += 1
            group.seq = self._seq
            self._flying.append(group)
            self._send(group)

    def _send(self, group: _Group) -> None:
        group.waits = False
        run_id, incarnation = self.run.run_id, self.run.incarnation
        answer = self._scripts.run_apply(run_id, incarnation, self.number, group.seq, group.entries, group.commands)
        answer.add_done_callback(partial(self._answered, group))

    def _answered(self, group: _Group, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            self._end_flight(group, StoreUnavailable("the connection was closed"))
        elif (error := answer.exception()) is not None:
            self._lose()
            self._end_flight(group, error)
        else:
            self._heed(group, *Scripts.applied(answer.result()))

    def _heed(self, group: _Group, word: str, cancel: str) -> None:
        failpoints.reach("checkpoint")
        if word == "early" and group is not self._flying[0]:
            group.waits = True  # the server could not take the one before it, which is being sent again
            return
        if word != "ok":  # fenced, or the server has forgotten a group that it had acknowledged
            self._lose()
            self._end_flight(group, self._fenced())
            return
        self._end_flight(group, None)
        if cancel:
            self.stop(Action(cancel))

    def _end_flight(self, group: _Group, error: BaseException | None) -> None:
        self._flying.remove(group)
        self._landed(group, error)
        if self._flying and self._flying[0].waits:
            self._send(self._flying[0])
        if self._group.entries or self._group.landed is not None:
            self._fly_soon()
        elif self._group or self._waiting:
            self._fly_later()

    @staticmethod
    def _landed(group: _Group, error: BaseException | None) -> None:
        if group.landed is None or group.landed.done():
            return
        if error is None:
            group.landed.set_result(None)
        else:
            group.landed.set_exception(error)
            group.landed.exception()

    def _fenced(self) -> Fenced:
        return Fenced(f"attempt {self.number} of run {self.run.run_id} no longer owns it")

    def stop(self, action: Action) -> None:
        """Somebody asked for the run to be cancelled."""
        if self.cancel is None:
            self.cancel = action
            if self.on_stop is not None:
                self.on_stop(action)

    def _lose(self) -> None:
        if not self.lost:
            self.lost = True
            log.warning("attempt.fenced", run=self.run.run_id, attempt=self.number)
            if self.on_stop is not None:
                self.on_stop(None)

    def lose(self) -> None:
        """Told from outside: the heartbeat found the run in other hands."""
        self._lose()

    async def settle(self, outcome: RunSettle) -> tuple[str, str]:
        """End the run, together with everything not yet written. ("ok", ""), ("fenced", "") or ("cancel", action):
        the last when a cancel came first and must be answered instead; then nothing has changed."""
        group = await self._last_words(outcome)
        if group is None:
            return "fenced", ""
        word, action = await self._scripts.run_settle(outcome, group.commands)
        if word == "cancel":
            self._seq -= 1
            self._put_back(group)
        return word, action

    async def release(self, handover: RunRelease) -> bool:
        """Hand the run back to the queue, together with everything not yet written. False when it was not ours."""
        group = await self._last_words(handover)
        return group is not None and await self._scripts.run_release(handover, group.commands)

    def _put_back(self, group: _Group) -> None:
        self._group.entries[:0] = group.entries
        self._group.commands[:0] = group.commands
        self._group.size_bytes += group.size_bytes

    async def _last_words(self, message: RunSettle | RunRelease) -> _Group | None:
        """Fill in what is not yet written; None when the run is lost."""
        self._boarding = True
        with suppress(Fenced):
            await self._all_landed()
        if self.lost:
            return None
        self._take_waiting(self._written)
        group, self._group = self._group, _Group()
        self._seq += 1
        message["seq"] = self._seq
        entries: list[Entry] = [(name, frame.decode(), "") for name, frame in group.entries]
        message["entries"] = entries + message["entries"]
        return group
