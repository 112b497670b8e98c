"""Sends the commands of a process to Redis: what all other modules use, whether Redis is one server or a cluster.

`server_pipeline.ServerPipeline` sends to one server, over one connection. `cluster_pipeline.ClusterPipeline` sends each
command to the server of a cluster that has its key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from slipway.redis.connection import Arg
from slipway.redis.script import Script


class Pipeline(Protocol):
    """Commands of the tasks of one event loop. Commands that are sent in one event loop iteration share a write.

    A command with `repeatable=True` may be executed twice without harm (a read, or a script that recognises its
    repetition). It is sent again after a connection broke, and while Redis is loading, read-only or full, until its
    timeout. Any other command whose reply is missing when a connection breaks fails with `StoreUnavailable`, because
    it is unknown whether Redis executed it."""

    async def open(self) -> None:
        """Connects. Raises `StoreUnavailable`."""
        ...

    async def close(self) -> None:
        """Disconnects. Commands without a reply fail with `StoreUnavailable`."""
        ...

    def reconnect(self) -> None:
        """Closes the socket at once and opens a new one. Repeatable commands without a reply are sent again; the others
        fail with `StoreUnavailable`."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop on which it was opened. Replies arrive on this loop."""
        ...

    @property
    def connected(self) -> bool:
        """Whether a command would be sent at once."""
        ...

    @property
    def reconnected(self) -> bool:
        """Whether a connection broke at least once and was opened again."""
        ...

    def connected_for_s(self) -> float:
        """The age of the connection; 0 while there is none."""
        ...

    @property
    def connections(self) -> int:
        """How often it has connected."""
        ...

    @property
    def round_trips(self) -> int:
        """How many writes it has sent."""
        ...

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        """Sends one command. For a command without a key, `at` is a key, or the key prefix, of the shard whose server
        executes it."""
        ...

    @property
    def servers(self) -> Mapping[str, Pipeline]:
        """A pipeline to each server that has keys, by its address: for commands about servers."""
        ...

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        """Calls a script by its digest. If Redis does not have the script, the call is repeated with the source. With
        `may_be_overtaken`, Redis may execute commands that are sent later before this one, if it is large."""
        ...

    async def will_be_executed(self) -> bool:
        """Waits for one event loop iteration, in which the commands are written to the socket. Returns whether Redis
        executes all of them even if this process is killed now."""
        ...
