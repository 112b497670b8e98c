"""Sends scripts whose replies are returned when replicas have what the scripts wrote: `durability: "replicated"`.

WAIT and WAITAOF refer to the writes of their own connection, and block it. So these scripts have a connection of their
own. All that wait share a round: the scripts, a write to the key `replication_mark`, and WAIT (with WAITAOF after it,
if disks count) are sent in one write, and what is issued meanwhile waits for the next round.

The mark is there because a script that recognises its repetition writes nothing: then WAIT would return at once,
although nobody knows whether replicas have what the first call wrote. The mark follows that write in the one stream of
all replicated writes, so whoever has the mark has it too.

If the connection breaks before replicas have confirmed a script, the script is called again, although its reply has
arrived: the next server may be a replica that was promoted without it. A script that is not repeatable fails instead.

WAIT comes before WAITAOF because it makes WAITAOF quick. A replica reports what it has on disk when the server asks,
which it does once for each command that begins to wait, else once a second. To the first question the replica answers
after its disk has the writes, with what the disk had before; to the second one with what it has then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import hiredis
import structlog

from slipway.errors import NotReplicated, StoreUnavailable
from slipway.redis.connection import Arg
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script

log = structlog.get_logger(__name__)

ReplicatedOn = Literal["disk", "memory"]
"""Where replicas, and with `disk` the server itself, must have a write."""

WAIT_MS: Final = 1000
"""How long one WAIT blocks the connection at most. Then scripts that were issued meanwhile get their turn."""
WAITAOF_MS: Final = 2000
"""The same for WAITAOF. With `appendfsync everysec`, a disk has a write within about one second."""

_RETRY_PAUSE_S: Final = 0.2
_LOG_EVERY_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Copies:
    """Where a write must be before it is acknowledged: on this number of replicas, in memory or on disk."""

    replicas: int = 1
    on: ReplicatedOn = "disk"

    def __str__(self) -> str:
        count = "1 replica" if self.replicas == 1 else f"{self.replicas} replicas"
        return f"{count} and the disk of the primary" if self.on == "disk" else count

    @property
    def commands(self) -> tuple[tuple[Arg, ...], ...]:
        """The commands that wait for them."""
        wait: tuple[Arg, ...] = ("WAIT", self.replicas, WAIT_MS)
        return (wait,) if self.on == "memory" else (wait, ("WAITAOF", 1, self.replicas, WAITAOF_MS))

    def problem(self, replies: Sequence[Any]) -> str:
        """What the replies to the commands lack; empty if nothing."""
        in_memory = replies[0]
        if in_memory < self.replicas:
            return f"{in_memory} of {_replicas(self.replicas)} confirmed a write within {WAIT_MS / 1000:g} s"
        if self.on == "memory":
            return ""
        own_disk, on_disk = replies[1]
        if on_disk < self.replicas:
            return (
                f"{on_disk} of {_replicas(self.replicas)} confirmed within {WAITAOF_MS / 1000:g} s to have a write on "
                "disk (a replica needs appendonly yes)"
            )
        return "" if own_disk else f"the primary had a write not on disk within {WAITAOF_MS / 1000:g} s"


class _Call:
    """A call of a script, or without a script only the question whether replicas confirm writes."""

    __slots__ = ("confirmed", "connection", "repeatable", "reply", "running", "send")

    def __init__(
        self, send: Callable[[], asyncio.Future[Any]] | None, loop: asyncio.AbstractEventLoop, *, repeatable: bool
    ) -> None:
        self.send, self.repeatable = send, repeatable
        self.confirmed: asyncio.Future[Any] = loop.create_future()
        """What the caller waits for: the reply, when it is confirmed."""
        self.reply: Any = None
        self.running = False
        """Whether it was sent and has no reply."""
        self.connection = 0
        """The number of the connection on which the reply arrived; 0 if none has."""

    @property
    def needs_sending(self) -> bool:
        return self.send is not None and not self.running

    def fail(self, error: BaseException) -> None:
        if not self.confirmed.done():
            self.confirmed.set_exception(error)
            self.confirmed.exception()  # its caller may have gone


class ReplicatedPipeline:
    """A `Pipeline` for scripts whose writes replicas must have. `server` has a connection that nobody else uses, and is
    opened with the first call. `mark` is the key that each round writes.

    A call waits until enough replicas have confirmed it: without limit, as long as Redis itself is available. Whoever
    wants to wait for less cancels the future. What the call wrote then stays, and is perhaps on no replica."""

    def __init__(self, server: Pipeline, mark: str, copies: Copies) -> None:
        self._server, self._mark, self.copies = server, mark, copies
        self._calls: list[_Call] = []
        """In the order of their first call. A call leaves when it is confirmed, or has failed."""
        self._wake = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._closed = False
        self._confirms = False
        """Whether the last round was confirmed."""
        self._logged_at = 0.0
        self.problem = ""
        """Why the last round was not confirmed; empty if it was, or if there was none."""

    # what waits

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        """Calls a script. Its reply is returned when replicas have confirmed what it wrote. Fails as `Pipeline.run`
        does. Calls are executed in order, so none overtakes another."""
        return self._add(partial(self._server.run, script, keys, args), repeatable=script.repeatable)

    async def check(self, within_s: float) -> None:
        """Returns if replicas confirm writes now. Costs nothing if they confirmed the last one. Raises `NotReplicated`
        if they do not within this time, at once if the server cannot ask them."""
        if self._confirms:
            return
        try:
            await asyncio.wait_for(self._add(None), within_s)
        except TimeoutError:
            raise NotReplicated(self.problem or f"Redis did not reply within {within_s:g} s") from None

    def _add(self, send: Callable[[], asyncio.Future[Any]] | None, *, repeatable: bool = True) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        call = _Call(send, loop, repeatable=repeatable)
        if self._closed:
            call.fail(StoreUnavailable("Redis: the connection was closed"))
            return call.confirmed
        self._calls.append(call)
        self._wake.set()
        if self._working is None:
            self._working = loop.create_task(self._work(), name="replicated writes")
        return call.confirmed

    # rounds

    async def _work(self) -> None:
        await self._open()
        while True:
            self._calls = [call for call in self._calls if not call.confirmed.done()]
            if not self._calls:
                self._wake.clear()
                await self._wake.wait()
            await self._round()

    async def _open(self) -> None:
        while True:
            try:
                return await self._server.open()
            except StoreUnavailable as error:
                self._not_confirmed(str(error))
                await asyncio.sleep(_RETRY_PAUSE_S)

    async def _round(self) -> None:
        """Sends what has no reply from the server of this connection, and waits for the replicas."""
        for call in self._calls:
            if call.needs_sending and call.connection != self._server.connections:
                if call.connection and not call.repeatable:
                    call.fail(StoreUnavailable("Redis: the connection broke; the outcome is unknown"))
                else:
                    self._send(call)
        sent = [self._server.send("INCR", self._mark), *(self._server.send(*each) for each in self.copies.commands)]
        # called before the reply to any later command is seen: so what has a reply then was executed before
        sent[-1].add_done_callback(lambda last: self._on_waited(sent))
        await asyncio.wait(sent)
        errors = [error for each in sent if (error := each.exception()) is not None]
        if not errors:
            return
        self._not_confirmed(str(errors[0]))
        if isinstance(errors[0], hiredis.ReplyError):
            self._reject(_explained(str(errors[0])))
        await asyncio.sleep(_RETRY_PAUSE_S)

    def _send(self, call: _Call) -> None:
        assert call.send is not None
        call.running, call.connection = True, 0
        call.send().add_done_callback(partial(self._on_reply, call))

    def _on_reply(self, call: _Call, reply: asyncio.Future[Any]) -> None:
        call.running = False
        if reply.cancelled():
            call.fail(StoreUnavailable("Redis: the connection was closed"))
        elif (error := reply.exception()) is not None:
            call.fail(error)
        else:
            call.reply, call.connection = reply.result(), self._server.connections

    def _on_waited(self, sent: Sequence[asyncio.Future[Any]]) -> None:
        if any(each.cancelled() or not each.done() or each.exception() is not None for each in sent):
            return
        if problem := self.copies.problem([each.result() for each in sent[1:]]):
            self._not_confirmed(problem)
            return
        self._confirms = True
        if self.problem:
            log.info("redis.replicated_again")
        self.problem, self._logged_at = "", 0.0
        for call in self._calls:
            executed = call.connection == self._server.connections if call.send is not None else True
            if executed and not call.running and not call.confirmed.done():
                call.confirmed.set_result(call.reply)

    # when replicas do not confirm

    def _not_confirmed(self, problem: str) -> None:
        self._confirms, self.problem = False, _explained(problem)
        now = asyncio.get_running_loop().time()
        if not self._logged_at or now - self._logged_at >= _LOG_EVERY_S:
            self._logged_at = now
            waiting = sum(not call.confirmed.done() for call in self._calls)
            log.warning("redis.not_replicated", problem=self.problem, copies=str(self.copies), waiting=waiting)

    def _reject(self, problem: str) -> None:
        """Answers those who only ask: waiting does not help them. What is being written waits until somebody changes
        the server."""
        for call in self._calls:
            if call.send is None:
                call.fail(NotReplicated(problem))

    # the other members of `Pipeline`

    async def open(self) -> None:
        """Does nothing: the first call connects."""

    async def close(self) -> None:
        """Disconnects. Calls that are not confirmed fail with `StoreUnavailable`."""
        self._closed = True
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
            await self._server.close()
        for call in self._calls:
            call.fail(StoreUnavailable("Redis: the connection was closed"))

    def reconnect(self) -> None:
        """See `Pipeline.reconnect`."""
        self._server.reconnect()

    @property
    def servers(self) -> Mapping[str, Pipeline]:
        return self._server.servers

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._server.loop

    @property
    def connections(self) -> int:
        """How often it has connected."""
        return self._server.connections

    @property
    def round_trips(self) -> int:
        """How many writes it has sent."""
        return self._server.round_trips

    @property
    def connected(self) -> bool:
        """Whether a call would be sent at once."""
        return self._server.connected

    @property
    def reconnected(self) -> bool:
        return self._server.reconnected

    def connected_for_s(self) -> float:
        """The age of the connection; 0 while there is none."""
        return self._server.connected_for_s()

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        """Sends one command. Its reply is returned when replicas have confirmed what it wrote."""
        return self._add(partial(self._server.send, *args, repeatable=repeatable, at=at), repeatable=repeatable)

    async def will_be_executed(self) -> bool:
        """False: the callers of this pipeline wait for the replies."""
        return False


async def server_obstacle(pipeline: Pipeline, copies: Copies) -> str:
    """Why the server can never confirm writes as it is configured now; empty if it can. Replicas may be missing."""
    if copies.on == "memory":
        return ""
    try:
        await pipeline.send("WAITAOF", 1, 0, 1)
    except hiredis.ReplyError as error:
        return _explained(str(error))
    return ""


def _explained(problem: str) -> str:
    """An error of the server with what to do about it."""
    if "appendonly is disabled" in problem:
        return (
            "the primary has no append-only file: set appendonly yes on the primary and its replicas, or "
            "SLIPWAY_REPLICATED_ON=memory"
        )
    if "unknown command" in problem:
        return (
            "the server has no WAITAOF, which needs Valkey 7.2 or Redis 7.2: set SLIPWAY_REPLICATED_ON=memory, "
            "which needs WAIT only"
        )
    return problem


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
