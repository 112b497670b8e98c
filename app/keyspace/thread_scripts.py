"""The scripts for whole threads: copying one, and removing or shrinking those whose time is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ormsgpack

from app.keyspace.names import Keys
from app.keyspace.scripts import Fields, Ttl, fields
from app.keyspace.source import load
from app.redis.wire import Wire

_COPY = load("thread_copy", repeatable=True)
_SWEEP = load("thread_sweep", repeatable=True)


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found: threads it deleted, threads whose checkpoints are to be shrunk, and how many were busy."""

    deleted: list[str]
    shrink: list[str]
    busy: int


class ThreadScripts:
    """On one wire, under one prefix; one round trip a call."""

    def __init__(self, wire: Wire, keys: Keys) -> None:
        self._wire, self._keys = wire, keys

    def _args(self, **arguments: object) -> tuple[str, bytes]:
        return self._keys.prefix, ormsgpack.packb(arguments)

    async def copy(
        self, source: str, thread_id: str, token: str, ttl: Ttl | None, metadata: dict[str, str] | None = None
    ) -> tuple[str, Fields]:
        """("ok" or "exists", fields of the new thread), or ("missing", {})."""
        args = self._args(source=source, thread_id=thread_id, token=token, ttl=ttl, metadata=metadata)
        reply = await self._wire.run(_COPY, [], args)
        return reply[0].decode(), fields(reply[1]) if len(reply) > 1 else {}

    async def sweep(self, limit: int, shrunk: Sequence[str] = ()) -> Swept:
        """At most `limit` threads whose time is over."""
        deleted, shrink, busy = await self._wire.run(_SWEEP, [], self._args(limit=limit, shrunk=list(shrunk)))
        return Swept([name.decode() for name in deleted], [name.decode() for name in shrink], int(busy))
