"""Writes the events and checkpoints of one attempt at a run. The writes are fenced, and sent in write groups.

**Fenced.** Every write carries the number of the attempt. The script compares it with the number in the run's record.
If a newer attempt owns the run, the script changes nothing, and its reply says that the attempt is fenced. Every later
write of the attempt raises `Fenced`.

**Grouped.** Events and commands are collected in the open write group. One script call sends it (`write_groups`):

- in the event loop iteration in which events were appended, if no group is in flight. Otherwise it is sent when the
  group in flight is acknowledged, so the open group grows while Redis is slow. What the last task of a superstep wrote
  waits for the next superstep or the end of the run, which follows within a few iterations;
- before the nodes of a superstep run, even if earlier groups are in flight. The first superstep does not wait for that
  unless a client follows the run: see `SendLimits.first_group_delay_s`;
- with the script that settles or releases the run.

**Delayed.** LangGraph writes a checkpoint in a separate asyncio task, while the task that reads the stream still
appends the events of the same superstep. A checkpoint must not be stored without these events: its superstep is not
executed again, so they would never be appended. So commands of the checkpointer wait in `_delayed_commands` until the
events that were streamed before them are appended.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from slipway.checkpoints.fenced_writers import EncodingLock
from slipway.errors import Fenced
from slipway.metrics.attempt_counts import AttemptCounts
from slipway.metrics.process_metrics import ProcessMetrics
from slipway.redis.redis_commands import RedisCommand
from slipway.runs.appended_events import AppendedEvents
from slipway.runs.cancel_reasons import Action
from slipway.runs.logged_events import LoggedEvents
from slipway.runs.record import Run
from slipway.runs.run_sizes import RunSizes
from slipway.runs.script_results import AttemptFenced, CancelRequested, Released, SettleResult
from slipway.runs.scripts import RunScripts
from slipway.runs.settlement import Release, Settlement
from slipway.runs.write_groups import GroupSender, WriteGroup, fenced_error
from slipway.serialization.at_rest import sealed
from slipway.serialization.places import log_place
from slipway.telemetry.table.run_metrics import CHECKPOINT_WRITE_SECONDS, NODE_RETRIES, RUN_EVENTS, SUPERSTEP_SECONDS
from slipway.tracing.attempt_trace import AttemptTrace
from slipway.tracing.stored_form import NO_SPANS
from slipway.weak_callbacks import weakly

log = structlog.get_logger(__name__)

_ITERATIONS_UNTIL_APPENDED: Final = 8
"""Event loop iterations within which a chunk that a node has streamed is read and appended, unless the reader waits in
`wait_for_capacity`. LangGraph passes chunks through a queue: its own stream modes need two iterations, and the other
six cost microseconds. Iterations are counted and not time, because a slow machine needs more time, not more
iterations."""


SPANS_WITHIN_S: Final = 1.0
"""Seconds after which spans are sent although the attempt writes nothing else."""
_SPANS_EVERY_S: Final = SPANS_WITHIN_S * 0.4
"""The least time between groups with spans alone, and before the first: an attempt that ends earlier needs none. With
the time between two calls of `send_spans`, it is less than `SPANS_WITHIN_S`."""

_ITERATIONS_UNTIL_BOUNDARY: Final = 8
"""Event loop iterations after the end of a superstep within which LangGraph starts the next superstep or ends the run,
unless it has slow work to do. It needs none for a superstep and three for the end. Until then the open group is not
sent, unless a task waits for it."""

_OF_THE_INPUT: Final = ("", "~__pregel_pull, __start__")
"""The paths with which LangGraph stores a command and the input of a run. No `tasks` chunk announces these writes."""
_TRIGGERED_BY_CHANNELS: Final = "~__pregel_pull"
"""How LangGraph begins the path of a task of a superstep. That of a `Send` or of a called task begins otherwise."""


@dataclass(frozen=True, slots=True)
class SendLimits:
    """When a writer sends its open group, and when the graph waits for that."""

    max_buffered_bytes: int = 1024 * 1024
    """Bytes in the open group above which `wait_for_capacity` waits."""
    delay_s: float = 0.02
    """Seconds that commands without events wait for events, so that both are sent in one group. Usually the events
    arrive within a few event loop iterations. They never arrive when they belong to a subgraph that the client does not
    stream."""
    first_group_delay_s: float = 0.05
    """Seconds that the first group waits for the first superstep to end, unless a client follows the run. Then both
    are sent in one group, and a run of one short superstep needs none but the group that settles it. A crash loses
    nothing more: without the first group, the next attempt begins with the input, and with it, it begins with the
    first superstep. In both cases that superstep is executed again."""


DEFAULT_LIMITS: Final = SendLimits()


class AttemptWriter:
    """The writer of one attempt at a run, in the process that executes it. It is the `CheckpointWriter` of the run's
    checkpointer, and appends the events of the graph to the run's log.

    With `write_behind`, writes return before Redis has them. Before the nodes of a superstep run, Redis has
    acknowledged everything that was written until then, or it will execute it even if this process is killed
    (`Pipeline.will_be_executed`). So a crash of the process loses only the superstep in progress. If Redis is lost at
    the same time, the group before it can be lost too. If the process was suspended long enough that its lease may have
    expired, the attempt waits for Redis to acknowledge all groups before the next superstep starts. That of a
    replicated run always waits: `scripts` are then those of `ReplicatedRuns`.

    `on_stop` is called once for each reason to stop: with the cancel action if the run is to be cancelled, with None if
    the attempt is fenced. `on_pause` is called when an operator pauses the run.
    """

    def __init__(
        self,
        scripts: RunScripts,
        run: Run,
        on_stop: Callable[[Action | None], None] | None = None,
        *,
        limits: SendLimits = DEFAULT_LIMITS,
        sizes: RunSizes | None = None,
    ) -> None:
        self.run, self.number, self._log_place = run, run.attempt, log_place(run.run_id)
        self.on_stop = on_stop
        self.on_pause: Callable[[], None] | None = None
        self.cancel: Action | None = run.cancel
        self.is_fenced = False
        self.write_behind = True
        self.is_replicated = run.options.is_replicated
        """Whether the scripts return when replicas have what they wrote. Then each superstep waits for that."""
        self.may_have_calls = run.attempt > 1 or bool(run.usage)
        """Whether the chain may have records of calls of tools: of this attempt, or of one before."""
        self.gateway_questions: set[str] = set()
        """The questions that the tool gateway has asked in this attempt (`question_digest`)."""
        self.lease_trusted_until = math.inf
        """The time (`time.monotonic`) until which no other process can have reclaimed the run. The thread of the
        `LeaseRenewer` changes it."""
        self.trace: AttemptTrace | None = None
        """What records the spans of the attempt. They are sent with its write groups; see `record_with`."""
        self._is_ending = False
        self._spans_sent_at = 0.0
        """The time (`time.monotonic`) when a group with spans alone was sent; at first, when the recorder was set."""
        self._scripts, self._limits, self._sizes = scripts, limits, sizes or RunSizes()
        self._written_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._sender = GroupSender(
            scripts,
            run,
            on_fenced=weakly(self, AttemptWriter.mark_fenced),
            on_cancel=weakly(self, AttemptWriter.request_cancel),
            on_complete=weakly(self, AttemptWriter._on_group_complete),
        )
        self._counts: AttemptCounts | None = None
        self._superstep_began_at = 0.0
        """0 while no superstep executes."""
        self._group = WriteGroup()
        """The open write group."""
        self._appended = AppendedEvents()
        self._delayed_commands: list[RedisCommand] = []
        """Commands of the checkpointer whose events may not be appended yet."""
        self._moved_count = 0
        """How many delayed commands were moved to a group so far."""
        self._send_scheduled = False
        self._send_timer: asyncio.TimerHandle | None = None
        self._send_check_scheduled = False
        """Whether `_on_chunk_appended` will be called: the stream had a chunk, with or without events, since the last
        call. Until then the group is not sent."""
        self._iterations_until_boundary = 0
        """For how many more event loop iterations the open group waits for the next superstep or the end of the run."""
        self._superstep_pending = False
        """Whether the open group will be sent by `wait_for_capacity`, or with the end of the run."""
        self._first_group_timer: asyncio.TimerHandle | None = None
        """Set while the first group waits for the first superstep to end."""
        self._first_group_may_wait = not (run.followed or self.is_replicated)
        self._reader_running = asyncio.Event()
        """Not set while the reader of the stream waits in `wait_for_capacity`: then chunks may be unread."""
        self._reader_running.set()
        self.encoding = EncodingLock(weakly(self, AttemptWriter._on_encoded))
        self.nodes_wait = True
        """Whether the nodes of a superstep run only when `wait_for_capacity` has returned."""
        self._tasks_of_superstep = 0
        self._encoded_writes = 0
        """How many large writes are encoded, whose events may not be appended yet."""
        self._encoding_chunk = False
        """Whether the reader encodes the events of a chunk. Then the events of the chunks before it wait, because their
        checkpoint belongs to the same write group."""

    @property
    def groups_sent(self) -> int:
        """How many write groups were sent so far, including the group that settles or releases the run."""
        return self._sender.last_number

    # writing

    def append(self, name: str, frame: bytes, mark: str = "") -> None:
        """Appends an event to the run's log. `mark` is stored beside it for later attempts (`read_logged_events`). A
        large frame is compressed here, once, and encrypted if there is a key; processes that forward it open it."""
        stored = sealed(frame, self._log_place)
        self._appended.add(name, frame, stored)
        self._group.entries.append((f"{name}\n{mark}" if mark else name, stored))
        self._count_bytes(len(stored))
        self.chunk_appended()

    def append_beside_stream(self, name: str, frame: bytes, mark: str = "") -> None:
        """Appends an event that is none of the graph's stream, while nodes run: such as a notice. Unlike after
        `append`, what the checkpointer has written still waits for the events of the stream that belong to it. The
        mark of a warning about a ceiling, `ceiling:NAME:USED:LIMIT`, tells it to webhook endpoints."""
        stored = sealed(frame, self._log_place)
        self._appended.add(name, frame, stored)
        self._group.entries.append((f"{name}\n{mark}" if mark else name, stored))
        self._count_bytes(len(stored))
        self._schedule_delayed_send()

    def add_command(self, command: RedisCommand) -> None:
        """Adds a command to the open group, without waiting for it."""
        self._group.commands.append(command)
        self._schedule_delayed_send()

    def store_usage(self, usage: str) -> None:
        """Stores what the chain has used of its ceilings, as JSON, with the open group. Does not wait for it."""
        self._group.usage = usage
        self._schedule_delayed_send()

    async def write(self, commands: Sequence[RedisCommand]) -> None:
        """Writes commands of the checkpointer. They are stored together with the events that the graph streamed before
        them, or after these events. With `write_behind`, returns at once; otherwise when Redis has stored them. Raises
        `Fenced` or `StoreUnavailable`."""
        if self.is_fenced:
            raise fenced_error(self.run)
        elsewhere = self._scripts.commands_of_other_shards(self.run.run_id, commands)
        if elsewhere:
            await self._write_elsewhere(commands, elsewhere)
            return
        self._delayed_commands.extend(commands)
        if self.write_behind:
            self._schedule_delayed_send()
            return
        count = self._command_count
        await self._wait_until_appended()
        self._move_delayed_commands(count)
        await self._wait_acknowledged(self._group)

    async def _write_elsewhere(self, commands: Sequence[RedisCommand], elsewhere: Sequence[RedisCommand]) -> None:
        """Writes commands of which some change another thread, in another shard: a node has called a graph with the id
        of that thread. They are executed when Redis has stored everything else, so only if the attempt owned its run
        until then."""
        await self.write([command for command in commands if command not in elsewhere])
        await self.flush()
        await self._scripts.apply_unfenced(elsewhere)

    def may_divide(self, namespace: str, task_path: str | None) -> bool:
        """Whether no node can run before `wait_for_capacity` has waited for `encoding`. While other tasks of the
        superstep run, or a node that has called the task (`@task`), they may change what a task has written. Nodes of
        a subgraph wait for nothing."""
        if namespace or not self.nodes_wait:
            return False
        if task_path in _OF_THE_INPUT and not self._tasks_of_superstep:
            return self.write_behind  # otherwise nodes do not wait for `wait_for_capacity`
        return task_path is None or (self._tasks_of_superstep == 1 and task_path.startswith(_TRIGGERED_BY_CHANNELS))

    @contextmanager
    def encoding_chunk(self) -> Iterator[None]:
        """The reader enters this while it encodes a large chunk in slices. Nothing is sent meanwhile."""
        self._encoding_chunk = True
        self._reader_running.clear()
        try:
            yield
        finally:
            self._reader_running.set()
            self._encoding_chunk = False

    async def flush(self) -> None:
        """Waits until Redis has stored all writes so far. Raises `Fenced` if one of them was rejected because the
        attempt no longer owns the run, and `StoreUnavailable` if Redis did not acknowledge one. After either, every
        later flush raises `Fenced`."""
        if self._delayed_commands:
            await self._wait_until_appended()
            self._move_delayed_commands(self._command_count)
        while self._group:
            await self._wait_acknowledged(self._group)
        await self._wait_all_acknowledged()
        if self.is_fenced:
            raise fenced_error(self.run)

    async def store_checkpoints(self) -> None:
        """Waits until Redis has stored everything that was written before the current tasks were started: also a
        checkpoint that LangGraph still writes in another asyncio task. Raises as `flush`."""
        while self.encoding.in_use:
            await self.encoding.wait()
        await self._wait_until_appended()
        await self.flush()

    async def confirm_claim(self) -> None:
        """Waits until replicas have the claim of a replicated run; does nothing for other runs. Without that, a
        failover could lose the claim, and another process could get an attempt with the same number. Raises `Fenced` if
        that has happened, and `StoreUnavailable`."""
        run = self.run
        if not self.is_replicated or run.worker is None:
            return
        if not await self._scripts.run_owned(run.run_id, run.incarnation, run.attempt, run.worker):
            self.mark_fenced()
            await asyncio.sleep(0)  # the execution is cancelled
            raise fenced_error(run)

    async def read_logged_events(self) -> LoggedEvents:
        """What earlier attempts appended to the log."""
        return await self._scripts.logged_events(self.run.run_id)

    # spans

    def record_with(self, trace: AttemptTrace) -> None:
        """From now on, the spans of this recorder are sent with the write groups. What a node does that writes nothing
        for long, such as a slow call of a model, is sent in a group of its own within `SPANS_WITHIN_S`: so it is known
        while it lasts, and after a crash."""
        self.trace, self._spans_sent_at = trace, time.monotonic()

    def send_spans(self) -> None:
        """Sends the spans that have changed, if nothing else takes them along. Called every `SPANS_WITHIN_S` / 2."""
        if self.trace is None or self._is_ending or time.monotonic() - self._spans_sent_at < _SPANS_EVERY_S:
            return
        others_follow = bool(self._group or self._sender.in_flight) or self._superstep_pending
        is_encoding = self.encoding.in_use or self._encoding_chunk or self._encoded_writes > 0
        if self.is_fenced or others_follow or is_encoding:
            return
        group = WriteGroup()
        group.spans = self.trace.part()
        if group.spans is not NO_SPANS:
            self._spans_sent_at = time.monotonic()
            self._sender.send(group, self)

    # delayed commands

    @property
    def _command_count(self) -> int:
        """How many commands the checkpointer has written so far."""
        return self._moved_count + len(self._delayed_commands)

    async def _wait_until_appended(self) -> None:
        """Returns when everything that the graph has streamed until now is appended."""
        iterations = 0
        while iterations < _ITERATIONS_UNTIL_APPENDED:
            if not self._reader_running.is_set():
                await self._reader_running.wait()
                iterations = 0
            await asyncio.sleep(0)
            iterations += 1

    def chunk_appended(self) -> None:
        """The reader of the stream calls this after each chunk.

        LangGraph streams the output of a task when it starts to store it, and the reader reads all available chunks
        without a pause, except in `wait_for_capacity`. So the events of all commands that were written before this call
        are in the group. The commands are sent when the callbacks that are already scheduled have run."""
        if not self._send_check_scheduled:
            self._send_check_scheduled = True
            self._loop.call_soon(self._on_chunk_appended)

    def _on_chunk_appended(self) -> None:
        if self._iterations_until_boundary and not self._group.waiting:
            self._iterations_until_boundary -= 1
            self._loop.call_soon(self._on_chunk_appended)
            return
        self._send_check_scheduled = False
        if self._reader_running.is_set():
            self._move_delayed_commands(self._command_count)
        if self._group:
            self._send_if_possible()

    def _move_delayed_commands(self, count: int) -> None:
        """Moves the first `count` commands of the attempt to the open group, if they were not moved before."""
        count -= self._moved_count
        if count <= 0:
            return
        commands, self._delayed_commands = self._delayed_commands[:count], self._delayed_commands[count:]
        self._moved_count += count
        self._group.commands.extend(commands)
        self._count_bytes(sum([len(part) for command in commands for part in command if type(part) is bytes]))

    def _count_bytes(self, count: int) -> None:
        self._group.size_bytes += count
        self._written_bytes += count

    # when a group is sent

    def superstep_started(self) -> None:
        """The reader calls this before the nodes of a superstep run, which they do when `wait_for_capacity` returns."""
        self._superstep_began_at = time.monotonic()
        self._superstep_pending = self.write_behind
        self._iterations_until_boundary = 0
        self._tasks_of_superstep = 0

    def task_started(self) -> None:
        """The reader calls this for each task of a superstep, and for each task that a node calls."""
        self._tasks_of_superstep += 1

    def superstep_ended(self) -> None:
        """The reader calls this when all tasks of a superstep have ended, before `chunk_appended`. The next superstep
        or the end of the run sends what they wrote in its own script call, so the last superstep needs no group of its
        own."""
        self._iterations_until_boundary = _ITERATIONS_UNTIL_BOUNDARY
        if self._counts is not None and self._superstep_began_at:
            took_s, self._superstep_began_at = time.monotonic() - self._superstep_began_at, 0.0
            self._counts.observe(SUPERSTEP_SECONDS, took_s, self.run.graph_id)

    @property
    def must_wait(self) -> bool:
        """Whether `wait_for_capacity` would wait."""
        return self._superstep_pending or self._group.size_bytes > self._limits.max_buffered_bytes

    async def wait_for_capacity(self) -> None:
        """Waits until at most `max_buffered_bytes` are buffered. Before a superstep, also sends everything that was
        written so far, so that a crash of this process loses nothing from before the superstep. Raises `Fenced` or
        `StoreUnavailable`."""
        if not self.must_wait:
            return
        self._reader_running.clear()
        began = time.monotonic()
        try:
            while self._group.size_bytes > self._limits.max_buffered_bytes:
                await self._wait_acknowledged(self._group)
            if self._superstep_pending:
                await self._send_before_superstep()
        finally:
            self._reader_running.set()
            if self.trace is not None:
                self.trace.redis_s += time.monotonic() - began

    async def _send_before_superstep(self) -> None:
        await asyncio.sleep(0)  # LangGraph's task writes the checkpoint of the last superstep in this iteration
        while self.encoding.in_use:  # that of a large checkpoint takes longer, and the one after it waits for it
            await self.encoding.wait()
            for _ in range(_ITERATIONS_UNTIL_APPENDED):
                await asyncio.sleep(0)
        self._superstep_pending = False
        self._move_delayed_commands(self._command_count)
        may_wait, self._first_group_may_wait = self._first_group_may_wait and self._lease_is_trusted(), False
        if may_wait:
            self._first_group_timer = self._loop.call_later(
                self._limits.first_group_delay_s, self._on_first_group_delay
            )
            return
        self._send_group()
        in_flight = self._sender.in_flight
        if in_flight and not (await self._scripts.will_be_executed() and self._lease_is_trusted()):
            await self._wait_all_acknowledged()

    def _on_first_group_delay(self) -> None:
        self._first_group_timer = None
        self._send_if_possible()

    def _end_first_group_delay(self) -> None:
        if self._first_group_timer is not None:
            self._first_group_timer.cancel()
            self._first_group_timer = None

    def _lease_is_trusted(self) -> bool:
        return time.monotonic() < self.lease_trusted_until

    async def _wait_all_acknowledged(self) -> None:
        while self._sender.in_flight:
            await self._wait_acknowledged(self._sender.in_flight[-1])

    async def _wait_acknowledged(self, group: WriteGroup) -> None:
        if self.is_fenced:
            raise fenced_error(self.run)
        self._schedule_send()
        await group.acknowledged(self._loop)

    def _schedule_send(self) -> None:
        if not self._send_scheduled and not self._sender.in_flight:
            self._send_scheduled = True
            self._loop.call_soon(self._send_if_possible)

    def _schedule_delayed_send(self) -> None:
        if self._send_timer is None:
            self._send_timer = self._loop.call_later(self._limits.delay_s, self._on_send_delay)

    def _on_send_delay(self) -> None:
        self._send_timer = None
        if self._group or self._delayed_commands:
            self._send_after_iterations(_ITERATIONS_UNTIL_APPENDED, self._command_count)

    def _send_after_iterations(self, iterations: int, count: int) -> None:
        """Sends the first `count` commands after `iterations` event loop iterations in which the stream is read."""
        if not self._reader_running.is_set():
            self._schedule_delayed_send()
        elif iterations:
            self._loop.call_soon(self._send_after_iterations, iterations - 1, count)
        else:
            self._move_delayed_commands(count)
            self._send_if_possible()

    def _send_if_possible(self) -> None:
        self._send_scheduled = False
        if self._encoding_chunk or self.encoding.in_use or self._encoded_writes:
            return
        waits_for_superstep = (self._superstep_pending or self._first_group_timer) and not self._group.waiting
        if not self._sender.in_flight and not self._send_check_scheduled and not waits_for_superstep:
            self._send_group()

    def _send_group(self) -> None:
        self._end_first_group_delay()
        group, self._group = self._group, WriteGroup()
        if self.is_fenced:
            group.resolve(fenced_error(self.run))
        elif not group:
            group.resolve(None)
        else:
            self._add_counts(group)
            if self.trace is not None:
                group.spans = self.trace.part()
            self._sender.send(group, self)

    def _on_group_complete(self) -> None:
        if self._group.entries or self._group.waiting:
            self._schedule_send()
        elif self._group or self._delayed_commands:
            self._schedule_delayed_send()

    def _on_encoded(self) -> None:
        """Called by `encoding`. The commands of the value that was encoded are written in this iteration, and sent with
        the events that the graph has streamed before them."""
        self._encoded_writes += 1
        self._loop.call_soon(lambda: self._send_encoded(_ITERATIONS_UNTIL_APPENDED, self._command_count))

    def _send_encoded(self, iterations: int, count: int) -> None:
        """Sends the first `count` commands when the reader has appended what was streamed before them. A reader that
        waits for a full buffer waits for what is in the open group, so that is sent without them."""
        if iterations and (self._encoding_chunk or self._reader_running.is_set()):
            self._loop.call_soon(self._send_encoded, iterations - (not self._encoding_chunk), count)
            return
        self._encoded_writes -= 1
        if self._reader_running.is_set():
            self._move_delayed_commands(count)
        if self._group:
            self._send_if_possible()

    # metrics

    def count_in(self, metrics: ProcessMetrics) -> None:
        """Counts what the attempt does. What it stores is counted with its write groups; how long that takes, in the
        metrics of the process."""
        self._counts = AttemptCounts()
        self._sender.on_stored = partial(metrics.observe, CHECKPOINT_WRITE_SECONDS)

    def node_retried(self) -> None:
        """Counts a repetition of a node by its retry policy. May be called in any thread."""
        self._loop.call_soon_threadsafe(self._count_retry)

    def _count_retry(self) -> None:
        if self._counts is not None:
            self._counts.count(NODE_RETRIES, self.run.graph_id)

    def _add_counts(self, group: WriteGroup) -> None:
        if self._counts is None:
            return
        if group.entries:
            self._counts.count(RUN_EVENTS, by=len(group.entries))
        group.counts += self._counts.items()

    # being stopped

    def request_cancel(self, action: Action) -> None:
        """Stops the attempt because the run is to be cancelled. A second request changes nothing."""
        if self.cancel is None:
            self.cancel = action
            if self.on_stop is not None:
                self.on_stop(action)

    def request_pause(self) -> None:
        """Asks the execution to release the run before its next superstep. The script that releases it pauses it."""
        if self.on_pause is not None:
            self.on_pause()

    def mark_fenced(self) -> None:
        """Stops the attempt because it no longer owns its run: a write was fenced, or a heartbeat reported it."""
        if not self.is_fenced:
            self.is_fenced = True
            log.warning("attempt.fenced", run=self.run.run_id, attempt=self.number)
            if self.on_stop is not None:
                self.on_stop(None)

    # the end

    async def settle(self, settlement: Settlement) -> SettleResult:
        """Ends the run and sends everything that was not sent yet, in one script. Returns `CancelRequested` if a cancel
        request came first: then nothing has changed, and the caller must settle the run as cancelled."""
        group = await self._final_group()
        if group is None:
            return AttemptFenced()
        learn = self._learn_size if self.number == 1 else None  # a later attempt has written only a part of the run
        arguments = settlement.arguments(self.run, group.number, group.entries, log=self._appended, learn=learn)
        code = settlement.error.code if settlement.error else ""
        spans = NO_SPANS if self.trace is None else self.trace.last_part(str(settlement.phase), code)
        result = await self._scripts.run_settle(arguments, group.commands, spans, group.counts)
        if isinstance(result, CancelRequested):
            self._sender.release_number()
            self._restore_group(group)
        return result

    async def release(self, release: Release) -> Released | None:
        """Gives the run back to the queue, or pauses it, and sends everything that was not sent yet, in one script.
        None if the attempt no longer owns the run."""
        group = await self._final_group()
        if group is None:
            return None
        arguments = release.arguments(self.run, group.number, group.entries)
        phase = "paused" if release.pause or release.switch else "queued"
        code = "" if release.pause is None else release.pause.failure_code
        spans = NO_SPANS if self.trace is None else self.trace.last_part(phase, code)
        return await self._scripts.run_release(arguments, group.commands, spans, group.counts)

    def _learn_size(self, settled_bytes: int) -> tuple[str, int] | None:
        return self._sizes.after_run(self.run.graph_id, self._written_bytes + settled_bytes)

    async def _final_group(self) -> WriteGroup | None:
        """Returns the last group when all other groups are acknowledged. None if the attempt is fenced."""
        self._is_ending = True  # no group with spans alone may follow the last one
        self._superstep_pending, self._iterations_until_boundary = True, 0
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None
        self._end_first_group_delay()
        with suppress(Fenced):
            await self._wait_all_acknowledged()
        if self.is_fenced:
            return None
        self._move_delayed_commands(self._command_count)
        group, self._group = self._group, WriteGroup()
        self._add_counts(group)
        self._sender.assign_number(group)
        return group

    def _restore_group(self, group: WriteGroup) -> None:
        self._group.entries[:0] = group.entries
        self._group.commands[:0] = group.commands
        self._group.usage = self._group.usage or group.usage
        self._group.counts = group.counts
        self._group.size_bytes += group.size_bytes
