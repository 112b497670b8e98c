"""The shards of a deployment on two servers, as those of a cluster are. The second server can be suspended."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address, Arg
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from tests.embedded_valkey import embedded_valkey


@dataclass(frozen=True, slots=True)
class TwoServers:
    """Sends each command to the server of its shard."""

    first: Pipeline
    second: Pipeline
    on_second: tuple[str, ...]
    """The key prefixes of the shards on the second server."""

    @property
    def both(self) -> Pipeline:
        """This, for code that needs no more of a pipeline than it has."""
        return cast(Pipeline, self)

    @property
    def servers(self) -> Mapping[str, Pipeline]:
        return {"first": self.first, "second": self.second}

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        return self._of(at or str(args[1])).send(*args, repeatable=repeatable, at=at)

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        return self._of(str(args[0])).run(script, keys, args, may_be_overtaken=may_be_overtaken)

    def _of(self, name: str) -> Pipeline:
        return self.second if name.startswith(self.on_second) else self.first

    @asynccontextmanager
    async def second_suspended(self) -> AsyncIterator[None]:
        """The second server does not reply in the block."""
        server = int((await self.second.send("INFO", "server")).split(b"process_id:")[1].split()[0])
        os.kill(server, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(server, signal.SIGCONT)


@asynccontextmanager
async def two_servers(first: Pipeline, on_second: tuple[str, ...]) -> AsyncIterator[TwoServers]:
    """`first`, and a new Valkey for the shards with the key prefixes `on_second`."""
    with embedded_valkey() as url:
        second = pipeline_to(Address(url), "test", patience_s=30)
        await second.open()
        try:
            yield TwoServers(first, second, on_second)
        finally:
            await second.close()
