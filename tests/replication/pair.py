"""A primary and a replica that can take its place, also at its address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address
from slipway.redis.pipeline import Pipeline
from tests.environment import free_port
from tests.proxy import Proxy
from tests.runs.servers import Server
from tests.waiting import wait_until

_QUICK: tuple[str, ...] = ("--repl-diskless-sync-delay", "0", "--maxmemory-policy", "noeviction")


class Pair:
    """Both servers have append-only files. `url` is the address of the primary, and after `take_over` that of the
    replica; `replica_url` leads to the replica at any time. What the primary sends to the replica passes `link`."""

    replica: Server

    def __init__(self, *options: str) -> None:
        self._port, self._replica_port, self._options = free_port(), free_port(), (*_QUICK, *options)
        self._primary_port = self._port
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.primary = Server("--port", str(self._port), *self._options)
        self.link = Proxy(self.primary.url)

    async def start(self) -> None:
        """Returns when the replica receives what the primary writes. That begins up to a second after the primary calls
        the replica online."""
        await self.primary.start()
        await self.link.listen_on_tcp_port(None)
        source = f"127.0.0.1 {Address(self.link.url).port}"
        self.replica = Server("--port", str(self._replica_port), "--replicaof", source, *self._options)
        self.replica_url = self.replica.url
        await self.replica.start()
        async with pipeline_of(self.primary.url) as pipeline:
            await wait_until(lambda: _replicates(pipeline))

    def delay_link(self) -> None:
        """From now on the replica receives nothing, and what the primary sends waits in the link."""
        self.link.hold_replies()

    def restore_link(self) -> None:
        """The replica receives what has waited."""
        self.link.release_replies()

    async def kill_primary(self) -> None:
        """SIGKILL. What waits in the link is lost."""
        await self.primary.kill()
        self.link.rejecting = True
        self.link.cut()

    async def promote(self) -> None:
        """The replica becomes a primary, at its own address."""
        async with pipeline_of(self.replica_url) as pipeline:
            await pipeline.send("REPLICAOF", "NO", "ONE")
        self._primary_port = self._replica_port

    async def take_over(self) -> None:
        """The replica becomes the primary at the address of the one that was killed. Clients connect to it again."""
        await self.promote()
        async with pipeline_of(self.replica_url) as pipeline:
            await pipeline.send("CONFIG", "SET", "port", self._port)
        self._primary_port = self._port

    @asynccontextmanager
    async def another_replica(self) -> AsyncIterator[Server]:
        """A further replica of whoever is the primary now, which receives what is written, until the end of the
        block."""
        further = Server("--port", str(free_port()), "--replicaof", f"127.0.0.1 {self._primary_port}", *_QUICK)
        await further.start()
        try:
            primary = self.primary if self._primary_port == self._port and not self.link.rejecting else self.replica
            async with pipeline_of(primary.url) as pipeline:
                await wait_until(lambda: _replicates(pipeline))
            yield further
        finally:
            await further.stop()

    async def stop(self) -> None:
        """Ends both and removes what they kept."""
        await self.link.stop()
        await self.replica.stop()
        await self.primary.stop()


async def _replicates(pipeline: Pipeline) -> bool:
    await pipeline.send("INCR", "started", repeatable=True)
    return int(await pipeline.send("WAIT", 1, 1000, repeatable=True)) == 1


@asynccontextmanager
async def pipeline_of(url: str) -> AsyncIterator[Pipeline]:
    """A pipeline to a server, until the end of the block."""
    pipeline = pipeline_to(Address(url), "test pair", patience_s=10)
    await pipeline.open()
    try:
        yield pipeline
    finally:
        await pipeline.close()


@asynccontextmanager
async def pair(*options: str) -> AsyncIterator[Pair]:
    """A pair until the block is left."""
    servers = Pair(*options)
    try:
        await servers.start()
        yield servers
    finally:
        await servers.stop()
