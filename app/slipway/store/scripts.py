"""The scripts and reads of the long-term store. A namespace is its labels joined by dots, which no label contains."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_PUT = load("store_put")
_GET = load("store_get")
_DROP = load("store_delete")


class StoreScripts(ScriptStubs):
    """On one pipeline, under one prefix. Each call is sent with all others of its turn of the event loop."""

    def put(self, namespace: str, key: str, value: bytes, vectors: bytes, ttl_ms: int) -> asyncio.Future[Any]:
        """Keep an item; `ttl_ms` of 0 is for ever."""
        return self._pipeline.run(_PUT, [], [*self._args(ns=namespace, key=key, ttl_ms=ttl_ms), value, vectors])

    def get(self, namespace: str, keys: Sequence[str], refresh: bool) -> asyncio.Future[list[bytes]]:
        """`created|updated|expires|ttl|value` of each key, in µs and ms, the value as JSON; empty when missing."""
        return self._pipeline.run(_GET, [], self._args(ns=namespace, keys=list(keys), refresh=refresh))

    def delete(self, namespace: str, key: str) -> asyncio.Future[Any]:
        """Remove an item, if it is there."""
        return self._pipeline.run(_DROP, [], self._args(ns=namespace, key=key))

    def sweep(self, limit: int) -> asyncio.Future[Any]:
        """Remove so many of the items whose time is over; how many went."""
        return self._pipeline.run(_DROP, [], self._args(limit=limit))

    async def namespaces(self, lead: str) -> list[str]:
        """All that have items and begin with the labels of `lead`, in the order of their names."""
        least, most = (f"[{lead}.", f"({lead}/") if lead else ("-", "+")  # a slash is what follows a dot
        found = await self._pipeline.send("ZRANGEBYLEX", self._keys.store_namespaces, least, most, repeatable=True)
        return [name.decode()[:-1] for name in found]

    def newest(self, namespace: str, most: int) -> asyncio.Future[list[bytes]]:
        """Keys of a namespace and the times of their last put, the newest first, flat."""
        order = self._keys.store_order(namespace)
        return self._pipeline.send("ZREVRANGE", order, 0, most - 1, "WITHSCORES", repeatable=True)

    def vectors(self, namespace: str, keys: Sequence[str]) -> asyncio.Future[list[bytes | None]]:
        """What was embedded of each key."""
        return self._pipeline.send("HMGET", self._keys.store_vectors(namespace), *keys, repeatable=True)
