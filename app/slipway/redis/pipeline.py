"""Commands to Redis with group commit.

Everything the tasks of a process want of Redis in one turn of the event loop goes out as one write on one connection,
and answers are handed back in order. That is where Slipway's speed comes from: a round trip is shared by whoever is
there, and a command costs a future and a few appended bytes.

A command sent with `repeatable=True` promises to be harmless when repeated (a read, or a script that recognises its own
repetition); it survives a broken connection and a server that is loading, read-only or full, for as long as the
pipeline's patience lasts. Any other command in flight at a break fails with `StoreUnavailable`: its outcome is unknown.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import hiredis

from slipway.errors import StoreUnavailable
from slipway.redis.connection import Address, Arg, Connection, pack, reply_error
from slipway.redis.script import Script

_CANNOT_NOW: Final = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "OOM", "MISCONF", "TRYAGAIN", "NOREPLICAS")
_IN_A_SCRIPT: Final = "ERR Error running script"
"""How Redis 6 begins what went wrong within a script; the reason itself follows a dash."""

_RETRY_PAUSE_S: Final = 0.1
_WATCH_EVERY_S: Final = 0.5


@dataclass(slots=True)
class _Command:
    packed: bytes
    answer: asyncio.Future[Any]
    repeatable: bool
    patient_until: float
    script: Script | None = None
    keys_and_args: tuple[Arg, ...] = field(default=())
    sent_at: float = 0.0


class Pipeline:
    """One connection's worth of commands. `patience_s` is how long a command may wait for a server that is away;
    `answer_within_s` is how long the server may stay silent before the connection is given up."""

    def __init__(self, address: Address, name: str, *, patience_s: float, answer_within_s: float = 10.0) -> None:
        self._connection = Connection(address, name, self)
        self._patience_s, self._answer_within_s = patience_s, answer_within_s
        self._waiting: list[_Command] = []
        self._in_flight: deque[_Command] = deque()
        self._flush_due = False
        self._closed = False
        self._watch: asyncio.TimerHandle | None = None
        self._connected_at = 0.0
        self.connections = 0
        self.round_trips = 0

    async def open(self) -> None:
        """Connect, or raise `StoreUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await self._connection.open()
        self._watch_later()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that it was opened on: its answers arrive there."""
        return self._loop

    async def close(self) -> None:
        """Hang up; commands still waiting fail."""
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        await self._connection.close()
        self._fail([*self._in_flight, *self._waiting], "the connection was closed")
        self._in_flight.clear()
        self._waiting.clear()

    @property
    def connected(self) -> bool:
        """Whether a command sent now would go out at once."""
        return self._connection.connected

    @property
    def reconnected(self) -> bool:
        """Whether the connection was lost and is back."""
        return self.connections > 1

    def connected_for_s(self) -> float:
        """Age of the present connection."""
        return self._loop.time() - self._connected_at if self.connected else 0.0

    def send(self, *args: Arg, repeatable: bool = False) -> asyncio.Future[Any]:
        """The answer to one command, sent with all others of this turn of the event loop."""
        return self._enqueue(_Command(pack(args), self._loop.create_future(), repeatable, self._deadline()))

    def run(self, script: Script, keys: Sequence[str], args: Sequence[Arg]) -> asyncio.Future[Any]:
        """The answer of a script, loaded into the server when it does not know it yet."""
        keys_and_args = (len(keys), *keys, *args)
        packed = pack(("EVALSHA", script.sha, *keys_and_args))
        answer = self._loop.create_future()
        return self._enqueue(_Command(packed, answer, script.repeatable, self._deadline(), script, keys_and_args))

    async def sent(self) -> bool:
        """Whether everything asked so far has left this process, one turn of the event loop later: the operating
        system has it, and delivers it even if the process is killed."""
        await asyncio.sleep(0)  # the flush; what it writes goes out at once, unless the socket is full
        return not self._waiting and self._connection.write_buffer_empty

    def _deadline(self) -> float:
        return self._loop.time() + self._patience_s

    def _enqueue(self, command: _Command) -> asyncio.Future[Any]:
        if self._closed:
            self._fail([command], "the connection was closed")
            return command.answer
        self._waiting.append(command)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return command.answer

    def _flush(self) -> None:
        self._flush_due = False
        if not self._waiting or not self._connection.connected:
            return
        batch, self._waiting = self._waiting, []
        now = self._loop.time()
        for command in batch:
            command.sent_at = now
        self._in_flight.extend(batch)
        self.round_trips += 1
        self._connection.write([command.packed for command in batch])

    # what the link tells

    def on_connected(self) -> None:
        self.connections += 1
        self._connected_at = self._loop.time()
        self._flush()

    def on_lost(self) -> None:
        lost, self._in_flight = list(self._in_flight), deque()
        unanswered = [command for command in lost if command.repeatable and not command.answer.done()]
        self._waiting = unanswered + self._waiting
        outcome_unknown = [command for command in lost if not command.repeatable]
        self._fail(outcome_unknown, "the connection broke; the outcome is unknown")

    def on_reply(self, reply: Any) -> None:
        command = self._in_flight.popleft()
        error = reply_error(reply)
        if error is None:
            if not command.answer.done():
                command.answer.set_result(reply)
        else:
            self._refused(command, error)

    def _refused(self, command: _Command, error: hiredis.ReplyError) -> None:
        reason = str(error)
        if command.answer.done():
            return
        if reason.startswith("NOSCRIPT") and command.script is not None:
            command.packed = pack(("EVAL", command.script.source, *command.keys_and_args))
            self._enqueue(command)
        elif not _cannot_now(reason):
            command.answer.set_exception(error)
        elif command.repeatable and self._loop.time() < command.patient_until:
            self._loop.call_later(_RETRY_PAUSE_S, self._enqueue, command)
        else:
            command.answer.set_exception(StoreUnavailable(f"Redis cannot do this now: {reason}"))

    def _watch_later(self) -> None:
        self._watch = self._loop.call_later(_WATCH_EVERY_S, self._look)

    def _look(self) -> None:
        """Give up what has waited too long, unsent or unanswered, and a connection that has fallen silent."""
        now = self._loop.time()
        late = [command for command in self._waiting if command.patient_until < now]
        if late and not self._connection.connected:
            self._waiting = [command for command in self._waiting if command.patient_until >= now]
            self._fail(late, "it is away")
        unanswered = [command for command in self._in_flight if command.patient_until < now]
        self._fail(unanswered, "it does not answer; the outcome is unknown")
        if self._in_flight and now - self._in_flight[0].sent_at > self._answer_within_s:
            self._connection.disconnect()
        self._watch_later()

    @staticmethod
    def _fail(commands: Sequence[_Command], why: str) -> None:
        for command in commands:
            if not command.answer.done():
                command.answer.set_exception(StoreUnavailable(f"Redis: {why}"))


def _cannot_now(reason: str) -> bool:
    """Whether an error passes by itself."""
    if reason.startswith(_IN_A_SCRIPT):
        return any(f"-{word} " in reason for word in _CANNOT_NOW)
    return reason.startswith(_CANNOT_NOW)
