"""Sends commands to one server with group commit.

All commands that the tasks of a process issue in one event loop iteration are sent in one write on one connection, and
the replies are returned in order. So tasks share round trips, and a command costs a future and a few bytes. This is
why Slipway does not use redis-py on its hot path: a GET awaited by 50 tasks at once costs 2.2 µs of CPU here and 42 µs
with redis-py 5, a GET of a single task 11 µs and 39 µs (Python 3.11, uvloop). `tests/test_budget.py` counts the round
trips of a run.

A command with `repeatable=True` may be executed twice without harm (a read, or a script that recognises its
repetition). It is sent again after the connection broke, and while Redis is loading, read-only or full, until its
timeout. Any other command whose reply is missing when the connection breaks fails with `StoreUnavailable`, because it
is unknown whether Redis executed it.

A large command, which later ones may overtake, has a connection of its own (`_LargeCommands`). Redis reads a connection
in pieces and serves the others in between, but what follows on the same one waits until it has read and executed
megabytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import hiredis

from slipway.errors import ConfigError, StoreUnavailable
from slipway.redis.connection import (
    CONNECT_TIMEOUT_S,
    MAX_RECONNECT_PAUSE_S,
    Address,
    Arg,
    Connection,
    pack,
    reply_error,
)
from slipway.redis.overload import overloaded_from
from slipway.redis.script import Script

_TEMPORARY_ERRORS: Final = (
    "LOADING",
    "READONLY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "OOM",
    "MISCONF",
    "TRYAGAIN",
    "NOREPLICAS",
)
_SCRIPT_ERROR_PREFIX: Final = "ERR Error running script"
"""How Redis 6 begins the error of a command inside a script. The error itself follows after a dash."""

_OF_ANOTHER_SERVER: Final = "non local key in a cluster node"
"""In the error of a script without keys that a server of a cluster cannot execute."""

_READ_BYTES: Final = 16 * 1024
"""What Redis and Valkey read from a connection at a time."""

LARGE_COMMAND_BYTES: Final = 256 * 1024
"""The size from which a command is sent on a connection of its own, if later ones may overtake it."""
LARGE_IDLE_S: Final = 20.0
"""Seconds without large commands after which their connection is closed, up to twice as many."""

_RETRY_PAUSE_S: Final = 0.1
_CHECK_INTERVAL_S: Final = 0.5
_SILENT_S: Final = 1.5
"""Seconds without a reply after which a server of a cluster may have been replaced."""


@dataclass(slots=True)
class Command:
    """One command, until its reply has arrived."""

    packed: bytes
    reply: asyncio.Future[Any]
    repeatable: bool
    deadline: float
    script: Script | None = None
    keys_and_args: tuple[Arg, ...] = field(default=())
    sent_at: float = 0.0
    write: int = 0
    """The number of the write in which it was sent last."""
    rejected: bool = False
    """Whether Redis could not execute it when it was sent first, for a temporary reason."""
    slot: int | None = None
    """On a cluster: the slot of its keys. None for a command to one particular server."""
    redirects: int = 0
    """On a cluster: how often a server has named another one for it."""


class Router(Protocol):
    """Finds the server of a command in a cluster. It has a `ServerPipeline` to each."""

    def on_error(self, command: Command, reason: str) -> bool:
        """Called for each error reply. Returns whether it sends the command again itself."""
        ...

    def on_lost(self) -> None:
        """Called when a connection was lost, an attempt to connect has failed, or a server does not reply."""
        ...

    def route(self, command: Command) -> None:
        """Sends a command to the server that has its slot now."""
        ...


class ServerPipeline:
    """Commands on one connection. `patience_s` is the timeout of a command while Redis is unavailable. If Redis sends
    no reply for `reply_timeout_s`, the connection is closed and opened again, with pauses of up to
    `max_reconnect_pause_s`. An attempt to connect fails after `connect_timeout_s`. `on_connected` is called whenever it
    has connected. `large` returns another pipeline for large commands, which is not open yet; without it, they are sent
    on the same connection. Without `counts_metrics`, scripts count nothing for metrics. With a `router`, the
    server is one of a cluster."""

    def __init__(
        self,
        address: Address,
        name: str,
        *,
        patience_s: float,
        reply_timeout_s: float = 10.0,
        max_reconnect_pause_s: float = MAX_RECONNECT_PAUSE_S,
        connect_timeout_s: float = CONNECT_TIMEOUT_S,
        on_connected: Callable[[], object] = lambda: None,
        large: Callable[[], ServerPipeline] | None = None,
        counts_metrics: bool = True,
        router: Router | None = None,
    ) -> None:
        self._counts_metrics, self._router = counts_metrics, router
        self._large = None if large is None else _LargeCommands(large, self)
        self._connection = Connection(
            address, name, self, max_pause_s=max_reconnect_pause_s, connect_timeout_s=connect_timeout_s
        )
        self._patience_s, self._reply_timeout_s = patience_s, reply_timeout_s
        self._call_when_connected = on_connected
        self._waiting: list[Command] = []
        self._in_flight: deque[Command] = deque()
        self._paused = 0
        """How many commands wait until they are sent again, because Redis could not execute them."""
        self._known_scripts: set[str] = set()
        """The digests of the scripts that Redis has executed on this connection."""
        self._flush_due = False
        self._bytes_of_last_write = 0
        self._closed = False
        self._check_timer: asyncio.TimerHandle | None = None
        self._connected_at = 0.0
        self.connections = 0
        self.round_trips = 0

    async def open(self) -> None:
        """Connects. Raises `StoreUnavailable`."""
        self._loop = asyncio.get_running_loop()
        await self._connection.open()
        self._schedule_check()

    def start(self) -> None:
        """Connects in the background. Until then, commands wait."""
        self._loop = asyncio.get_running_loop()
        self._connection.start()
        self._schedule_check()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which it was opened. Replies arrive on this loop."""
        return self._loop

    async def close(self) -> None:
        """Disconnects. Commands without a reply fail with `StoreUnavailable`."""
        self._closed = True
        if self._check_timer is not None:
            self._check_timer.cancel()
        if self._large is not None:
            await self._large.close()
        await self._connection.close()
        fail([*self._in_flight, *self._waiting], "the connection was closed")
        self._in_flight.clear()
        self._waiting.clear()

    async def leave(self, within_s: float) -> list[Command]:
        """Waits for the replies that are missing, at most this time, and disconnects. Returns the repeatable commands
        that are still without a reply; the others fail with `StoreUnavailable`."""
        if self.connected and self._in_flight:
            await asyncio.wait([command.reply for command in self._in_flight], timeout=within_s)
        self.on_lost()
        left = [] if self._large is None else await self._large.leave(within_s)
        left += [command for command in self._waiting if command.slot is not None]
        self._waiting = [command for command in self._waiting if command.slot is None]
        await self.close()
        return left

    def reconnect(self) -> None:
        """Closes the socket at once and opens a new one. Repeatable commands without a reply are sent again; the others
        fail with `StoreUnavailable`."""
        self._connection.disconnect()

    @property
    def connected(self) -> bool:
        """Whether a command would be sent at once."""
        return self._connection.connected

    @property
    def reconnected(self) -> bool:
        """Whether the connection broke at least once and was opened again."""
        return self.connections > 1

    def connected_for_s(self) -> float:
        """The age of the connection; 0 while there is none."""
        return self._loop.time() - self._connected_at if self.connected else 0.0

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        """Sends one command, together with all others of this event loop iteration."""
        return self._enqueue(Command(pack(args), self._loop.create_future(), repeatable, self._deadline()))

    @property
    def servers(self) -> Mapping[str, ServerPipeline]:
        """This pipeline."""
        return {str(self._connection.address): self}

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        """Calls a script by its digest. If Redis does not have the script, the call is repeated with the source. With
        `may_be_overtaken`, Redis may execute commands that are sent later before this one, if it is large."""
        if script.uncounted is not None and not self._counts_metrics:
            script = script.uncounted
        return self.accept(script_call(script, keys, args, self._loop, self._deadline()), may_be_overtaken)

    def accept(self, command: Command, may_be_overtaken: bool) -> asyncio.Future[Any]:
        """Sends a command. With `may_be_overtaken`, Redis may execute later ones before it, if it is large."""
        if may_be_overtaken and self._large is not None and len(command.packed) >= LARGE_COMMAND_BYTES:
            return self._large.send(command)
        return self._enqueue(command)

    @property
    def has_commands(self) -> bool:
        """Whether the reply to a command is missing."""
        return bool(self._waiting or self._in_flight)

    def hand_over(self) -> list[Command]:
        """The commands of slots that wait for a connection, for another pipeline. They are not sent here any more."""
        if self._connection.connected:
            return []
        waiting = [] if self._large is None else self._large.hand_over()
        waiting += [command for command in self._waiting if command.slot is not None]
        self._waiting = [command for command in self._waiting if command.slot is None]
        return waiting

    def take_over(self, commands: Sequence[Command]) -> None:
        """Sends commands that another pipeline has not sent."""
        for command in commands:
            self._enqueue(command)

    async def will_be_executed(self) -> bool:
        """Waits for one event loop iteration, in which the commands are written to the socket. Returns whether Redis
        executes all of them even if this process is killed now.

        The operating system keeps what was written, but Redis reads only a part of it at a time. After each read it
        executes the complete commands, and if it then cannot send the replies because the process does not exist any
        more, it closes the connection and never reads the rest. So no reply may be due before the last command is
        read: it is the only one, or Redis reads all of them at once. And Redis must not need this process for a second
        try: it knows the scripts, and has not rejected one of the commands as long as it is full."""
        await asyncio.sleep(0)  # `_flush` runs; what it writes is sent at once, unless the socket is full
        if self._waiting or not self._connection.write_buffer_empty:
            return False
        if self._large is not None and self._large.in_progress:
            return False  # what is sent here may be executed first, and rejected for that reason
        if self._paused or not all(map(self._is_accepted, self._in_flight)):
            return False
        if len(self._in_flight) < 2:
            return True
        in_one_write = self._in_flight[0].write == self.round_trips
        return in_one_write and self._bytes_of_last_write <= _READ_BYTES

    def _is_accepted(self, command: Command) -> bool:
        """Whether Redis executes a command when it reads it, as far as can be known."""
        return not command.rejected and (command.script is None or command.script.sha in self._known_scripts)

    def _deadline(self) -> float:
        return self._loop.time() + self._patience_s

    def _enqueue(self, command: Command) -> asyncio.Future[Any]:
        if self._closed:
            fail([command], "the connection was closed")
            return command.reply
        self._waiting.append(command)
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)
        return command.reply

    def _flush(self) -> None:
        self._flush_due = False
        if not self._waiting or not self._connection.connected:
            return
        batch, self._waiting = self._waiting, []
        now = self._loop.time()
        self.round_trips += 1
        for command in batch:
            command.sent_at, command.write = now, self.round_trips
        self._in_flight.extend(batch)
        self._bytes_of_last_write = self._connection.write([command.packed for command in batch])

    # ConnectionOwner

    def on_connected(self) -> None:
        """Counts the connection, and sends the commands that wait for it."""
        self.connections += 1
        self._connected_at = self._loop.time()
        self._flush()
        self._call_when_connected()

    def on_lost(self) -> None:
        lost, self._in_flight = list(self._in_flight), deque()
        self._known_scripts.clear()  # the next server may be another one
        unanswered = [command for command in lost if command.repeatable and not command.reply.done()]
        self._waiting = unanswered + self._waiting
        outcome_unknown = [command for command in lost if not command.repeatable]
        fail(outcome_unknown, "the connection broke; the outcome is unknown")
        if self._router is not None:
            self._router.on_lost()

    def on_unavailable(self) -> None:
        if self._router is not None:
            self._router.on_lost()

    def on_reply(self, reply: Any) -> None:
        command = self._in_flight.popleft()
        error = reply_error(reply)
        if error is None:
            if command.script is not None:
                self._known_scripts.add(command.script.sha)
            if not command.reply.done():
                command.reply.set_result(reply)
        else:
            self._on_error(command, error)

    def _on_error(self, command: Command, error: hiredis.ReplyError) -> None:
        reason = str(error)
        if command.reply.done():
            return
        if reason.startswith("NOSCRIPT") and command.script is not None:
            self._known_scripts.discard(command.script.sha)
            command.packed = pack(("EVAL", command.script.source, *command.keys_and_args))
            self._enqueue(command)
        elif self._router is not None and self._router.on_error(command, reason):
            pass
        elif self._router is None and (reason.startswith("MOVED ") or _OF_ANOTHER_SERVER in reason):
            command.reply.set_exception(ConfigError(cluster_by_setting(self._connection.address)))
        elif (overloaded := overloaded_from(reason)) is not None:
            command.reply.set_exception(overloaded)
        elif not is_temporary(reason):
            command.reply.set_exception(error)
        elif command.repeatable and self._loop.time() < command.deadline:
            command.rejected, self._paused = True, self._paused + 1
            self._loop.call_later(_RETRY_PAUSE_S, self._send_again, command)
        else:
            command.reply.set_exception(StoreUnavailable(f"Redis cannot do this now: {reason}"))

    def _send_again(self, command: Command) -> None:
        self._paused -= 1
        if self._router is None or command.slot is None:
            self._enqueue(command)
        else:
            self._router.route(command)

    def _schedule_check(self) -> None:
        self._check_timer = self._loop.call_later(_CHECK_INTERVAL_S, self._check_timeouts)

    def _check_timeouts(self) -> None:
        """Fails commands whose timeout is over, and closes a connection on which Redis sends no replies."""
        now = self._loop.time()
        late = [command for command in self._waiting if command.deadline < now]
        if late and not self._connection.connected:
            self._waiting = [command for command in self._waiting if command.deadline >= now]
            fail(late, "it is unavailable")
        unanswered = [command for command in self._in_flight if command.deadline < now]
        fail(unanswered, "it sent no reply in time; the outcome is unknown")
        if self._in_flight and now - self._in_flight[0].sent_at > self._reply_timeout_s:
            self.reconnect()
        elif self._router is not None and self._in_flight and now - self._in_flight[0].sent_at > _SILENT_S:
            self._router.on_lost()  # the cluster may have replaced it; the connection tells nothing
        self._schedule_check()


class _LargeCommands:
    """Sends large commands on a connection that is open only while there are some. If it cannot be opened, for example
    because the server permits no further one, they are sent on the connection of `small`."""

    def __init__(self, connect: Callable[[], ServerPipeline], small: ServerPipeline) -> None:
        self._connect, self._small = connect, small
        self._pipeline: ServerPipeline | None = None
        self._waiting: list[Command] = []
        self._serving: asyncio.Task[None] | None = None

    @property
    def in_progress(self) -> bool:
        """Whether the reply to a large command is missing."""
        return bool(self._waiting) or (self._pipeline is not None and self._pipeline.has_commands)

    def send(self, command: Command) -> asyncio.Future[Any]:
        if self._pipeline is not None:
            self._pipeline.take_over([command])
        else:
            self._waiting.append(command)
            if self._serving is None:
                self._serving = asyncio.create_task(self._serve(), name="large commands")
        return command.reply

    def hand_over(self) -> list[Command]:
        """See `ServerPipeline.hand_over`."""
        if self._pipeline is not None:
            return self._pipeline.hand_over()
        waiting, self._waiting = self._waiting, []
        return waiting

    async def leave(self, within_s: float) -> list[Command]:
        """See `ServerPipeline.leave`."""
        waiting, self._waiting = self._waiting, []
        return waiting if self._pipeline is None else [*waiting, *await self._pipeline.leave(within_s)]

    async def close(self) -> None:
        """Commands without a reply fail."""
        if self._serving is not None:
            self._serving.cancel()
        if self._pipeline is not None:
            await self._pipeline.close()
        self._send_waiting(self._small)

    async def _serve(self) -> None:
        pipeline = self._connect()
        try:
            await pipeline.open()
        except StoreUnavailable:
            self._serving = None
            self._send_waiting(self._small)
            return
        self._pipeline = pipeline
        self._send_waiting(pipeline)
        seen = -1
        while pipeline.has_commands or pipeline.round_trips > seen:
            seen = pipeline.round_trips
            await asyncio.sleep(LARGE_IDLE_S)
        self._pipeline = self._serving = None
        await pipeline.close()

    def _send_waiting(self, pipeline: ServerPipeline) -> None:
        waiting, self._waiting = self._waiting, []
        pipeline.take_over(waiting)


def fail(commands: Sequence[Command], why: str) -> None:
    """The replies to these commands are `StoreUnavailable`, unless they have arrived."""
    for command in commands:
        if not command.reply.done():
            command.reply.set_exception(StoreUnavailable(f"Redis: {why}"))


def cluster_by_setting(address: Address) -> str:
    """The problem that the server of a pipeline for one server belongs to a cluster."""
    return (
        f"Redis at {address} belongs to a cluster: set SLIPWAY_REDIS_CLUSTER=1, or name several of its servers in "
        "SLIPWAY_REDIS_URL or REDIS_URL"
    )


def script_call(
    script: Script, keys: Sequence[str], args: Sequence[Arg], loop: asyncio.AbstractEventLoop, deadline: float
) -> Command:
    """The call of a script by its digest."""
    keys_and_args = (len(keys), *keys, *args)
    packed = pack(("EVALSHA", script.sha, *keys_and_args))
    return Command(packed, loop.create_future(), script.repeatable, deadline, script, keys_and_args)


def is_temporary(reason: str) -> bool:
    """Whether the command can succeed later without a change."""
    if reason.startswith(_SCRIPT_ERROR_PREFIX):
        return any(f"-{word} " in reason for word in _TEMPORARY_ERRORS)
    return reason.startswith(_TEMPORARY_ERRORS)
