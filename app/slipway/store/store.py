"""The long-term store: JSON objects under namespaces, for graphs (`runtime.store`) and for the API's `/store`.

It uses core commands of Redis 6.2 or Valkey 7.2 only. Reading or writing an item costs one round trip, and all reads of
a batch share one, as do all its writes.

A write counts at once and is not fenced, because it is not part of a run's state. A node that executes again writes
again, and an attempt that lost its run may still write the item that it was about to write. Graphs should therefore
derive keys from what the item is about, not from random numbers: then a repeated write changes nothing. A batch is not
a transaction: it reads first, then writes, and of several writes to one item the last one counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Final, cast

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from slipway.asyncio_bridge import run_from_thread
from slipway.errors import InvalidRequest, TooLarge
from slipway.graphs.official_sections import StoreTtlSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.at_rest import sealed, sealed_vectors
from slipway.serialization.json_encoding import dumps
from slipway.serialization.places import item_place, vectors_place
from slipway.store.embedding import VectorIndex
from slipway.store.filters import check_operators, is_plain_prefix, matches_namespace, required_prefix, required_suffix
from slipway.store.item import ItemKey, dotted, item_from, version_of
from slipway.store.scripts import StoreScripts
from slipway.store.search import EXPIRED_PER_CALL, ItemSearch

_MINUTE_MS: Final = 60_000
_SYNC_IN_ASYNC: Final = "the store's synchronous methods cannot be used in async code: await aget, aput, asearch …"


class RedisStore(BaseStore):
    """Items under one key prefix. `max_item_bytes` bounds an item's value as JSON.

    Async code uses `aget`, `aput`, `asearch` and so on. The synchronous methods work in threads, where LangGraph runs
    synchronous nodes. On the event loop they would wait for themselves, so they raise there.
    """

    supports_ttl = True

    def __init__(
        self,
        pipeline: Pipeline,
        keys: Keys,
        *,
        max_item_bytes: int,
        index: VectorIndex | None = None,
        ttl: StoreTtlSection | None = None,
    ) -> None:
        self._scripts, self._max_item_bytes, self._index = StoreScripts(pipeline, keys), max_item_bytes, index
        self._search = ItemSearch(self._scripts, index)
        ttl = ttl or StoreTtlSection()
        self.ttl_config = TTLConfig(refresh_on_read=ttl.refresh_on_read, default_ttl=ttl.default_ttl)
        self._loop = asyncio.get_running_loop()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """`abatch` for threads other than the event loop's."""
        return run_from_thread(self._loop, lambda: self.abatch(ops), _SYNC_IN_ASYNC)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations, in order. Reads return what was stored before the batch's writes."""
        ops = list(ops)
        for op in ops:
            validate_op_namespace(op)
        reads = [self._read(op) for op in ops if not isinstance(op, PutOp)]
        results = iter(await asyncio.gather(*reads))
        await self._write({ItemKey(dotted(op.namespace), op.key): op for op in ops if isinstance(op, PutOp)})
        return [None if isinstance(op, PutOp) else next(results) for op in ops]

    async def put_if_unchanged(self, op: PutOp, was: Item | None) -> bool:
        """Puts an item if it is still as it was read; None if it did not exist. Returns False if it is not."""
        validate_op_namespace(op)
        item_key, value, (vectors,) = ItemKey(dotted(op.namespace), op.key), self._encode(op), await self._embed([op])
        stored = await self._scripts.put(*item_key, value, vectors, _ttl_ms(op), version_of(was))
        return stored == b"ok"

    async def sweep(self) -> int:
        """Deletes expired items, which reads skip already. Returns the number of deleted items."""
        total = 0
        while True:
            deleted = await self._scripts.sweep(EXPIRED_PER_CALL)
            total += deleted
            if deleted < EXPIRED_PER_CALL:
                return total

    async def _write(self, puts: dict[ItemKey, PutOp]) -> None:
        stored_puts = {item_key: op for item_key, op in puts.items() if op.value is not None}
        values = {item_key: self._encode(op) for item_key, op in stored_puts.items()}
        vectors = dict(zip(stored_puts, await self._embed(list(stored_puts.values())), strict=True))
        sent: list[Awaitable[object]] = []
        for item_key, op in puts.items():
            if op.value is None:
                sent.append(self._scripts.delete(*item_key))
            else:
                sent.append(self._scripts.put(*item_key, values[item_key], vectors[item_key], _ttl_ms(op)))
        for reply in sent:
            await reply

    def _encode(self, op: PutOp) -> bytes:
        if not isinstance(op.value, dict):
            raise InvalidRequest("value", "must be a JSON object")
        value = dumps(op.value)
        if len(value) > self._max_item_bytes:
            raise TooLarge(
                f"item {op.key!r} has {len(value)} bytes; SLIPWAY_MAX_STORE_ITEM_BYTES is {self._max_item_bytes}"
            )
        return sealed(value, item_place(dotted(op.namespace), op.key))

    async def _embed(self, puts: Sequence[PutOp]) -> list[bytes]:
        if self._index is None:
            return [b""] * len(puts)
        values = [(dict(op.value or {}), [] if op.index is False else op.index) for op in puts]
        embedded = await self._index.embed_values(values)
        places = (vectors_place(dotted(op.namespace), op.key) for op in puts)
        return [
            sealed_vectors(vectors, place) if vectors else b"" for vectors, place in zip(embedded, places, strict=True)
        ]

    async def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            item_key = ItemKey(dotted(op.namespace), op.key)
            (stored,) = await self._scripts.get(item_key.namespace, [item_key.key], op.refresh_ttl)
            return item_from(Item, item_key, stored) if stored else None
        if isinstance(op, ListNamespacesOp):
            return await self._namespaces(op)
        assert isinstance(op, SearchOp)
        check_operators(op.filter or {})
        return cast(Result, await self._search.run(op))

    async def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        """The namespaces in the order of their names. The last labels of names, and wildcards, are compared here: then
        names are read until the page is full."""
        conditions = op.match_conditions or ()
        await self._scripts.sweep(EXPIRED_PER_CALL)
        prefix, depth = dotted(required_prefix(conditions)), op.max_depth or None
        if is_plain_prefix(conditions):
            names = await self._scripts.namespace_page(prefix, depth, op.offset, op.limit)
            return [tuple(name.split(".")) for name in names]
        found: dict[tuple[str, ...], None] = {}
        suffix = required_suffix(conditions)
        async for names in self._scripts.namespace_pages(prefix):
            likely = (name for name in names if f".{name}".endswith(suffix))  # the comparison below takes longer
            for namespace in (tuple(name.split(".")) for name in likely):
                if matches_namespace(namespace, conditions):
                    found[namespace[:depth]] = None
            if len(found) > op.offset + op.limit:
                break
        return list(found)[op.offset : op.offset + op.limit]


def _ttl_ms(op: PutOp) -> int:
    return 0 if op.ttl is None else max(1, int(op.ttl * _MINUTE_MS))
