"""The script stubs and reads of the store. A namespace is its labels joined by dots; no label contains a dot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from slipway.redis.script_source import load
from slipway.redis.script_stubs import ScriptStubs

_PUT = load("store_put")
_GET = load("store_get")
_DELETE = load("store_delete")
_NAMESPACES = load("store_namespaces")
_INDEX_CHECK = load("store_index_check")

NAMESPACES_PER_PAGE: Final = 2000
"""Namespaces that are read in one round trip."""


class StoreScripts(ScriptStubs):
    """The methods are not coroutines: all calls of one event loop iteration share a round trip."""

    def put(
        self, namespace: str, key: str, value: bytes, vectors: bytes, ttl_ms: int, was: str | None = None
    ) -> asyncio.Future[bytes]:
        """Stores an item; with a `ttl_ms` of 0, without an expiry. With `was` (`created|updated` in µs, "" for none),
        only if that is the item that exists; otherwise the result is `changed`."""
        arguments = self._args(ns=namespace, key=key, ttl_ms=ttl_ms, was=was)
        return self._pipeline.run(_PUT, [], [*arguments, value, vectors])

    def get(self, namespace: str, keys: Sequence[str], refresh: bool) -> asyncio.Future[list[bytes]]:
        """For each key `created|updated|expires|ttl|value` (µs, µs, ms, ms, JSON); empty if the item is missing."""
        return self._pipeline.run(_GET, [], self._args(ns=namespace, keys=list(keys), refresh=refresh))

    def delete(self, namespace: str, key: str) -> asyncio.Future[int]:
        """An item that does not exist is not an error."""
        return self._pipeline.run(_DELETE, [], self._args(ns=namespace, key=key))

    def sweep(self, limit: int) -> asyncio.Future[int]:
        """Deletes up to `limit` expired items. Returns the number of deleted items."""
        return self._pipeline.run(_DELETE, [], self._args(limit=limit))

    async def namespace_page(self, prefix: str, depth: int | None, offset: int, limit: int) -> list[str]:
        """A page of the namespaces that begin with the labels of `prefix`, each cut to `depth` labels."""
        first, last = _bounds(prefix)
        if depth is None:
            found = await self._pipeline.send(
                *("ZRANGEBYLEX", self._keys.store_namespaces, first, last, "LIMIT", offset, limit), repeatable=True
            )
        else:
            arguments = self._args(first=first, last=last, depth=depth, offset=offset, limit=limit)
            found = await self._pipeline.run(_NAMESPACES, [], arguments)
        return [name.decode()[:-1] for name in found]

    async def namespace_pages(self, prefix: str) -> AsyncIterator[list[str]]:
        """All namespaces that begin with the labels of `prefix`, sorted by name."""
        first, last = _bounds(prefix)
        while True:
            found = await self._pipeline.send(
                *("ZRANGEBYLEX", self._keys.store_namespaces, first, last, "LIMIT", 0, NAMESPACES_PER_PAGE),
                repeatable=True,
            )
            yield [name.decode()[:-1] for name in found]
            if len(found) < NAMESPACES_PER_PAGE:
                return
            first = f"({found[-1].decode()}"

    async def changed_namespaces(self) -> AsyncIterator[list[tuple[str, float]]]:
        """All namespaces, the last put first, each with a time in µs that none of its items exceeds. One that changes
        meanwhile may come twice."""
        start, at_start = "+inf", frozenset[bytes]()
        while True:
            flat = await self._pipeline.send(
                *("ZREVRANGEBYSCORE", self._keys.store_changed, start, "-inf", "WITHSCORES"),
                *("LIMIT", 0, NAMESPACES_PER_PAGE + len(at_start)),
                repeatable=True,
            )
            found = [pair for pair in zip(flat[::2], flat[1::2], strict=True) if pair[0] not in at_start]
            if not found:
                return
            yield [(name.decode()[:-1], float(score)) for name, score in found]
            # the next page begins with the last time of this one, because others of that time may not be in this one
            last = found[-1][1].decode()
            same_time = {name for name, score in found if score.decode() == last}
            at_start = frozenset(same_time | at_start if last == start else same_time)
            start = last

    async def check_index(self, names: Sequence[str], *, repair: bool) -> list[str]:
        """The namespaces that a search of many namespaces would find too late or not at all. Each of the names has a
        dot at its end."""
        wrong = await self._pipeline.run(_INDEX_CHECK, [], self._args(names=list(names), repair=repair))
        return [namespace.decode() for namespace in wrong]

    def newest(self, namespace: str, limit: int) -> asyncio.Future[list[bytes]]:
        """A flat list of keys and the times of their last put, the newest first."""
        order = self._keys.store_order(namespace)
        return self._pipeline.send("ZREVRANGE", order, 0, limit - 1, "WITHSCORES", repeatable=True)

    def vectors(self, namespace: str, keys: Sequence[str]) -> asyncio.Future[list[bytes | None]]:
        """The stored vectors of each key."""
        return self._pipeline.send("HMGET", self._keys.store_vectors(namespace), *keys, repeatable=True)


def _bounds(prefix: str) -> tuple[str, str]:
    """The bounds of the names that begin with the labels of `prefix`, for ZRANGEBYLEX."""
    return (f"[{prefix}.", f"({prefix}/") if prefix else ("-", "+")  # "/" follows "." in ASCII
