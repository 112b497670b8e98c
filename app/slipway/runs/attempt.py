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
from slipway.runs.record import Run
from slipway.runs.script_results import Applied, ApplyResult, AttemptFenced, CancelRequested, GroupMissing, SettleResult
from slipway.runs.scripts import Entry, RunRelease, RunScripts, RunSettle

log = structlog.get_logger(__name__)

_MAX_BUFFERED_BYTES: Final = 1024 * 1024
"""Events waiting to be written beyond which `room` makes their maker wait."""

_MAX_UNACKNOWLEDGED_GROUPS: Final = 4
"""Groups that may be under way while the graph goes on."""

_SEND_DELAY_S: Final = 0.02
"""How long commands that nobody follows wait for events to share their group. The events of a superstep follow its
writes within a few turns of the event loop, unless they are of a subgraph and nobody wants them."""


_ITERATIONS_UNTIL_APPENDED: Final = 8
"""Turns of the event loop after which a chunk that a node has streamed has been read and appended, unless the reader
waits in `room`: LangGraph hands it on through a queue. Two are enough for its own stream modes; the rest is a margin,
and costs microseconds. Turns are counted, not time: on a slow machine each takes longer, and the reader needs as many.
"""


class WriteGroup:
    """What goes to Redis together. `waits` says that an earlier one has to be sent again before it."""

    __slots__ = ("acknowledged", "commands", "entries", "seq", "size_bytes", "waits")

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self.commands: list[Command] = []
        self.acknowledged: asyncio.Future[None] | None = None
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
    to `_MAX_UNACKNOWLEDGED_GROUPS` more. A process that stood still for so long that its lease may have ended asks
    Redis first.

    `on_stop` is called, once for each reason, when the attempt learns that it must stop: with the way to cancel, or
    with None when it has lost its run.
    """

    def __init__(self, scripts: RunScripts, run: Run, on_stop: Callable[[Action | None], None] | None = None) -> None:
        self.run, self.number = run, run.attempt
        self.on_stop = on_stop
        self.cancel: Action | None = run.cancel
        self.is_fenced = False
        self._scripts = scripts
        self._loop = asyncio.get_running_loop()
        self._seq = 0
        self._group = WriteGroup()
        self._in_flight: list[WriteGroup] = []
        self._send_scheduled = False
        self._send_timer: asyncio.TimerHandle | None = None
        self._append_scheduled = False
        """Whether chunks have been appended whose writes are about to be put."""
        self._delayed_commands: list[Command] = []
        """Writes of the checkpointer whose events may not have been appended yet."""
        self._moved_count = 0
        """How many have waited before these."""
        self._reader_running = asyncio.Event()
        """Not set while the reader of the stream waits in `room`, and chunks may be unread."""
        self._reader_running.set()
        self._superstep_pending = False
        """Whether the group is about to be taken along, by the boundary of a superstep or by the end of the run."""
        self.write_behind = True
        self.lease_is_trusted: Callable[[], bool] = lambda: True
        """Whether nobody else can have taken the run: asked before a superstep, and Redis where it is not so."""

    def append(self, name: str, frame: bytes, mark: str = "") -> None:
        """Put an event into the run's log. `mark` is stored beside it for the attempts that follow (`logged`)."""
        self._group.entries.append((f"{name}\n{mark}" if mark else name, frame))
        self._group.size_bytes += len(frame)
        self.chunk_appended()

    def add_command(self, command: Command) -> None:
        """Put a command into the next group, without waiting for it."""
        self._group.commands.append(command)
        self._schedule_delayed_send()

    async def write(self, commands: Sequence[Command]) -> None:
        """Return once Redis has `commands`. When `eager`, return at once: they wait a moment for the events that the
        graph streamed before it wrote (`caught_up`). These events land with the commands or before them: once a
        checkpoint is stored, its superstep is not executed again, and events that were not stored would be lost. Raises
        `Fenced` or `StoreUnavailable`."""
        if self.is_fenced:
            raise self._fenced()
        self._delayed_commands.extend(commands)
        if self.write_behind:
            self._schedule_delayed_send()
            return
        written = self._command_count
        await self._wait_until_appended()
        self._move_delayed_commands(written)
        await self._wait_acknowledged(self._group)

    @property
    def _command_count(self) -> int:
        """How many writes there have been."""
        return self._moved_count + len(self._delayed_commands)

    async def _wait_until_appended(self) -> None:
        """Return once what the graph streamed until now has been appended."""
        turns = 0
        while turns < _ITERATIONS_UNTIL_APPENDED:
            if not self._reader_running.is_set():
                await self._reader_running.wait()
                turns = 0
            await asyncio.sleep(0)
            turns += 1

    def chunk_appended(self) -> None:
        """A chunk of the graph's stream was appended. To be called by the task that reads the stream.

        LangGraph streams what a task returned in the moment in which it begins to store it, and chunks are read without
        a pause while there are any, but in `room`. So what it began to store before this moment has its events in the
        group, and is written when the callbacks that were due before this one have run."""
        if not self._append_scheduled:
            self._append_scheduled = True
            self._loop.call_soon(self._on_chunk_appended)

    def _on_chunk_appended(self) -> None:
        self._append_scheduled = False
        if self._reader_running.is_set():
            self._move_delayed_commands(self._command_count)
        if self._group:
            self._send_if_possible()

    def _move_delayed_commands(self, written: int) -> None:
        """Put the first so many writes of the attempt into the group, but for those that are there already."""
        count = max(written - self._moved_count, 0)
        waiting, self._delayed_commands = self._delayed_commands[:count], self._delayed_commands[count:]
        self._moved_count += count
        self._group.commands.extend(waiting)
        self._group.size_bytes += sum(len(word) for command in waiting for word in command if isinstance(word, bytes))

    def superstep_started(self) -> None:
        """The nodes of a superstep are about to run, once there is `room`."""
        self._superstep_pending = self.write_behind

    async def read_logged_events(self) -> LoggedEvents:
        """What earlier attempts have appended to the log."""
        return await self._scripts.logged_events(self.run.run_id)

    async def flush(self) -> None:
        """Return once Redis has everything that was put so far. Raises `Fenced`, also when what was put is lost by now,
        or `StoreUnavailable`."""
        if self._delayed_commands:
            await self._wait_until_appended()
            self._move_delayed_commands(self._command_count)
        while self._group:
            await self._wait_acknowledged(self._group)
        await self._wait_all_acknowledged()
        if self.is_fenced:
            raise self._fenced()

    async def wait_for_capacity(self) -> None:
        """Return when the graph may go on: not too much is waiting to be written, and nothing of what was before a
        superstep that begins would be lost with this process. Raises `Fenced` or `StoreUnavailable`."""
        if not self._superstep_pending and self._group.size_bytes <= _MAX_BUFFERED_BYTES:
            return
        self._reader_running.clear()
        try:
            while self._group.size_bytes > _MAX_BUFFERED_BYTES:
                await self._wait_acknowledged(self._group)
            if self._superstep_pending:
                await self._send_before_superstep()
        finally:
            self._reader_running.set()

    async def _send_before_superstep(self) -> None:
        await asyncio.sleep(0)  # LangGraph's task that puts the last superstep's checkpoint has its turn
        self._superstep_pending = False
        self._move_delayed_commands(self._command_count)
        self._send_group()
        if self._in_flight and not (await self._scripts.sent() and self.lease_is_trusted()):
            await self._wait_all_acknowledged()
        while len(self._in_flight) > _MAX_UNACKNOWLEDGED_GROUPS:
            await self._wait_acknowledged(self._in_flight[0])

    async def _wait_all_acknowledged(self) -> None:
        while self._in_flight:
            await self._wait_acknowledged(self._in_flight[-1])

    async def _wait_acknowledged(self, group: WriteGroup) -> None:
        if self.is_fenced:
            raise self._fenced()
        if group.acknowledged is None:
            group.acknowledged = self._loop.create_future()
        self._schedule_send()
        await asyncio.shield(group.acknowledged)

    def _schedule_send(self) -> None:
        if not self._send_scheduled and not self._in_flight:
            self._send_scheduled = True
            self._loop.call_soon(self._send_if_possible)

    def _schedule_delayed_send(self) -> None:
        if self._send_timer is None:
            self._send_timer = self._loop.call_later(_SEND_DELAY_S, self._on_send_delay)

    def _on_send_delay(self) -> None:
        self._send_timer = None
        self._send_after_iterations(_ITERATIONS_UNTIL_APPENDED, self._command_count)

    def _send_after_iterations(self, turns: int, written: int) -> None:
        """The first so many writes go after so many turns of the event loop in which the stream is read."""
        if not self._reader_running.is_set():
            self._schedule_delayed_send()
        elif turns:
            self._loop.call_soon(self._send_after_iterations, turns - 1, written)
        else:
            self._move_delayed_commands(written)
            self._send_if_possible()

    def _send_if_possible(self) -> None:
        self._send_scheduled = False
        if (
            not self._in_flight
            and not self._append_scheduled
            and (not self._superstep_pending or self._group.acknowledged is not None)
        ):
            self._send_group()

    def _send_group(self) -> None:
        group, self._group = self._group, WriteGroup()
        if self.is_fenced:
            self._resolve(group, self._fenced())
        elif not group:
            self._resolve(group, None)
        else:
            self._seq += 1
            group.seq = self._seq
            self._in_flight.append(group)
            self._call_script(group)

    def _call_script(self, group: WriteGroup) -> None:
        group.waits = False
        run_id, incarnation = self.run.run_id, self.run.incarnation
        answer = self._scripts.run_apply(run_id, incarnation, self.number, group.seq, group.entries, group.commands)
        answer.add_done_callback(partial(self._on_reply, group))

    def _on_reply(self, group: WriteGroup, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled():
            self._complete_group(group, StoreUnavailable("the connection was closed"))
        elif (error := answer.exception()) is not None:
            self.mark_fenced()
            self._complete_group(group, error)
        else:
            self._handle_result(group, RunScripts.applied(answer.result()))

    def _handle_result(self, group: WriteGroup, result: ApplyResult) -> None:
        failpoints.reach("checkpoint")
        if isinstance(result, GroupMissing) and group is not self._in_flight[0]:
            group.waits = True  # the server could not take the one before it, which is being sent again
            return
        if not isinstance(result, Applied):  # fenced, or the server has forgotten a group that it had acknowledged
            self.mark_fenced()
            self._complete_group(group, self._fenced())
            return
        self._complete_group(group, None)
        if result.cancel is not None:
            self.request_cancel(result.cancel)

    def _complete_group(self, group: WriteGroup, error: BaseException | None) -> None:
        self._in_flight.remove(group)
        self._resolve(group, error)
        if self._in_flight and self._in_flight[0].waits:
            self._call_script(self._in_flight[0])
        if self._group.entries or self._group.acknowledged is not None:
            self._schedule_send()
        elif self._group or self._delayed_commands:
            self._schedule_delayed_send()

    @staticmethod
    def _resolve(group: WriteGroup, error: BaseException | None) -> None:
        if group.acknowledged is None or group.acknowledged.done():
            return
        if error is None:
            group.acknowledged.set_result(None)
        else:
            group.acknowledged.set_exception(error)
            group.acknowledged.exception()

    def _fenced(self) -> Fenced:
        return Fenced(f"attempt {self.number} of run {self.run.run_id} no longer owns it")

    def request_cancel(self, action: Action) -> None:
        """Somebody asked for the run to be cancelled."""
        if self.cancel is None:
            self.cancel = action
            if self.on_stop is not None:
                self.on_stop(action)

    def mark_fenced(self) -> None:
        if not self.is_fenced:
            self.is_fenced = True
            log.warning("attempt.fenced", run=self.run.run_id, attempt=self.number)
            if self.on_stop is not None:
                self.on_stop(None)

    async def settle(self, outcome: RunSettle) -> SettleResult:
        """Ends the run and sends everything that was not sent yet, in one script. `CancelRequested` when a cancel
        request came first: then nothing has changed, and the run is to be settled as cancelled."""
        group = await self._take_final_group(outcome)
        if group is None:
            return AttemptFenced()
        result = await self._scripts.run_settle(outcome, group.commands)
        if isinstance(result, CancelRequested):
            self._seq -= 1
            self._restore_group(group)
        return result

    async def release(self, handover: RunRelease) -> bool:
        """Hand the run back to the queue, together with everything not yet written. False when it was not ours."""
        group = await self._take_final_group(handover)
        return group is not None and await self._scripts.run_release(handover, group.commands)

    def _restore_group(self, group: WriteGroup) -> None:
        self._group.entries[:0] = group.entries
        self._group.commands[:0] = group.commands
        self._group.size_bytes += group.size_bytes

    async def _take_final_group(self, message: RunSettle | RunRelease) -> WriteGroup | None:
        """Fill in what is not yet written; None when the run is lost."""
        self._superstep_pending = True
        with suppress(Fenced):
            await self._wait_all_acknowledged()
        if self.is_fenced:
            return None
        self._move_delayed_commands(self._command_count)
        group, self._group = self._group, WriteGroup()
        self._seq += 1
        message["seq"] = self._seq
        entries: list[Entry] = [(name, frame.decode(), "") for name, frame in group.entries]
        message["entries"] = entries + message["entries"]
        return group
