"""Write groups: what an attempt sends to Redis in one script call. Redis stores groups in order, each once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from slipway import failpoints
from slipway.errors import Fenced, StoreUnavailable
from slipway.redis.redis_commands import RedisCommand
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Run
from slipway.runs.script_results import Applied, ApplyResult, WriteGroupMissing
from slipway.runs.scripts import Entry, RunScripts
from slipway.tracing.stored_form import NO_SPANS


class WriteGroup:
    """Events and commands that Redis stores together or not at all. The events come first."""

    __slots__ = (
        *("commands", "counts", "entries", "number", "resend", "sent_at", "size_bytes", "spans", "usage", "waiting"),
        "writer",
    )

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        """Events as pairs: the name, with the mark on a second line if there is one, and the frame as it is stored."""
        self.commands: list[RedisCommand] = []
        self.usage = ""
        """What the chain has used of its ceilings, as JSON; empty if it is not stored with this group."""
        self.spans = NO_SPANS
        """Set when the group is sent."""
        self.counts = b""
        """Items of pending counts; set when the group is sent."""
        self.size_bytes = 0
        self.number = 0
        """Position among the groups of the attempt, from 1; 0 before the group is sent."""
        self.waiting: list[asyncio.Future[None]] = []
        """A future for each task that waits for the reply of Redis. Cancelling one task does not cancel the others."""
        self.sent_at = 0.0
        """The time (`time.monotonic`) when it was sent first."""
        self.resend = False
        """Whether Redis rejected the group because an earlier one had not arrived."""
        self.writer: object = None
        """Who has sent it, and may have more to send when Redis has stored it: so it exists until then."""

    def __bool__(self) -> bool:
        return bool(self.entries or self.commands or self.usage)

    def acknowledged(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """A future for one task, which is resolved when Redis has stored the group, or fails."""
        future: asyncio.Future[None] = loop.create_future()
        self.waiting.append(future)
        return future

    def resolve(self, error: BaseException | None) -> None:
        """Ends the wait of all tasks that wait for the group."""
        for future in self.waiting:
            if future.done():  # the task was cancelled
                continue
            if error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
                future.exception()  # reading it prevents asyncio from logging an exception that no task retrieved


class GroupSender:
    """Sends the write groups of one attempt. Several may be in flight; each is one call of `run_apply.lua`.

    Redis stores a group only if the attempt still owns its run, and only after all groups with lower numbers. A group
    that arrives twice is stored once. When a connection breaks, the pipeline sends the calls without a reply again. If
    a later group then arrives before an earlier one, Redis rejects it, and it is sent again when the earlier group is
    acknowledged.

    `on_fenced`: the attempt no longer owns its run. `on_cancel`: the run is to be cancelled. `on_complete`: a group was
    acknowledged, or failed.
    """

    def __init__(
        self,
        scripts: RunScripts,
        run: Run,
        *,
        on_fenced: Callable[[], None],
        on_cancel: Callable[[Action], None],
        on_complete: Callable[[], None],
    ) -> None:
        self._scripts, self._run = scripts, run
        self._on_fenced, self._on_cancel, self._on_complete = on_fenced, on_cancel, on_complete
        self.on_stored: Callable[[float], None] = lambda seconds: None
        """Called with the time from the call until Redis had stored a group."""
        self.in_flight: list[WriteGroup] = []
        """Sent and not yet acknowledged, in order."""
        self.last_number = 0

    def assign_number(self, group: WriteGroup) -> None:
        """Assigns the next number to the group. The caller sends the group, by `send` or in the script that settles the
        run."""
        self.last_number += 1
        group.number = self.last_number

    def release_number(self) -> None:
        """Makes the last number available again, because Redis did not store the group."""
        self.last_number -= 1

    def send(self, group: WriteGroup, writer: object) -> None:
        """`writer` exists at least until Redis has stored the group, or it has failed."""
        self.assign_number(group)
        group.writer = writer
        self.in_flight.append(group)
        group.sent_at = time.monotonic()
        self._call_script(group)

    def _call_script(self, group: WriteGroup) -> None:
        group.resend = False
        run = self._run
        reply = self._scripts.run_apply(
            run.run_id,
            run.incarnation,
            run.attempt,
            group.number,
            group.entries,
            group.commands,
            group.usage,
            group.spans,
            group.counts,
        )
        reply.add_done_callback(partial(self._on_reply, group))

    def _on_reply(self, group: WriteGroup, reply: asyncio.Future[Sequence[bytes]]) -> None:
        if reply.cancelled():
            self._complete(group, StoreUnavailable("the connection was closed"))
        elif (error := reply.exception()) is not None:
            self._on_fenced()
            self._complete(group, error)
        else:
            self._on_result(group, RunScripts.applied(reply.result()))

    def _on_result(self, group: WriteGroup, result: ApplyResult) -> None:
        failpoints.reach("checkpoint")
        if isinstance(result, WriteGroupMissing) and group is not self.in_flight[0]:
            group.resend = True
            return
        if not isinstance(result, Applied):  # also when Redis has lost a group that it had acknowledged
            self._on_fenced()
            self._complete(group, fenced_error(self._run))
            return
        self.on_stored(time.monotonic() - group.sent_at)
        self._complete(group, None)
        if result.cancel is not None:
            self._on_cancel(result.cancel)

    def _complete(self, group: WriteGroup, error: BaseException | None) -> None:
        self.in_flight.remove(group)
        group.resolve(error)
        if self.in_flight and self.in_flight[0].resend:
            self._call_script(self.in_flight[0])
        self._on_complete()


def fenced_error(run: Run) -> Fenced:
    return Fenced(f"attempt {run.attempt} of run {run.run_id} no longer owns it")
