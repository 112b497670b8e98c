"""The long-term store: JSON objects under namespaces, for graphs (`runtime.store`) and for the API's `/store`.

On core commands of Redis 6.2 or Valkey 7.2. `slipway.redis.keys` lists the keys. Reading and writing an item costs one
round trip, and all that a batch wants of Redis shares one; a search costs three, and one more for each further page
of items that it has to look at.

Searches answer with what was put last first, then by namespace and key. Conditions are checked here, item by item, so a
search with conditions reads everything below its prefix. So does a search by meaning, which reads the vectors: it is
meant for up to about 10 000 items below the prefix that is searched with numpy installed, about 1 000 without it. A
search that would have to look at more than `MOST_SEEN` items is refused.

A write counts at once and is not fenced: it is no part of a run's state. A node that is done again writes again, and
an attempt that lost its run may still write the item it was about to write. So derive keys from what the item is about,
not from chance, and a repetition changes nothing. A batch is not a transaction: it reads first, then writes, and of
several writes to one item the last one counts.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

import orjson
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from slipway.asyncio_bridge import wait_from_thread
from slipway.errors import InvalidRequest, RefusedRequest, TooLarge
from slipway.graphs.sections import StoreTtlSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.json_encoding import dumps
from slipway.store.embedding import Index, closeness
from slipway.store.filters import check, fits, lead_of, matches
from slipway.store.scripts import StoreScripts

MOST_SEEN: Final = 100_000
"""Items that one search looks at before it is refused."""

_PAGE: Final = 200
_NAMESPACES_AT_ONCE: Final = 500
_SWEPT_AT_ONCE: Final = 500
_MINUTE_MS: Final = 60_000
_NOT_HERE: Final = "the store's synchronous methods cannot be used in async code: await aget, aput, asearch …"

_Place = tuple[str, str]
"""Dotted namespace and key."""

_Any = TypeVar("_Any", bound=Item)


class RedisStore(BaseStore):
    """Items under one key prefix. `max_item_bytes` bounds an item's value as JSON.

    Async: `aget`, `aput`, `asearch` and the like. The synchronous methods work from threads, which is where LangGraph
    runs synchronous nodes; on the event loop itself they would wait for themselves, and raise instead.
    """

    supports_ttl = True

    def __init__(
        self,
        pipeline: Pipeline,
        keys: Keys,
        *,
        max_item_bytes: int,
        index: Index | None = None,
        ttl: StoreTtlSection | None = None,
    ) -> None:
        self._scripts, self._max_item_bytes, self._index = StoreScripts(pipeline, keys), max_item_bytes, index
        ttl = ttl or StoreTtlSection()
        self.ttl_config = TTLConfig(refresh_on_read=ttl.refresh_on_read, default_ttl=ttl.default_ttl)
        self._loop = asyncio.get_running_loop()

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As `abatch`, from another thread than the event loop's."""
        return wait_from_thread(self._loop, lambda: self.abatch(ops), _NOT_HERE)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The answers of all operations, in order; reads see what was there before the batch's writes."""
        ops = list(ops)
        for op in ops:
            validate_op_namespace(op)
        reads = [self._read(op) for op in ops if not isinstance(op, PutOp)]
        answers = iter(await asyncio.gather(*reads))
        await self._write({(_dotted(op.namespace), op.key): op for op in ops if isinstance(op, PutOp)})
        return [None if isinstance(op, PutOp) else next(answers) for op in ops]

    async def sweep(self) -> int:
        """Remove items whose time is over; nobody sees them any more as it is. How many went."""
        swept = 0
        while True:
            gone = int(await self._scripts.sweep(_SWEPT_AT_ONCE))
            swept += gone
            if gone < _SWEPT_AT_ONCE:
                return swept

    # writing

    async def _write(self, puts: dict[_Place, PutOp]) -> None:
        values = {place: self._encoded(op) for place, op in puts.items() if op.value is not None}
        vectors = await self._vectors([op for op in puts.values() if op.value is not None])
        made = dict(zip(values, vectors, strict=True))
        sent = []
        for place, op in puts.items():
            if op.value is None:
                sent.append(self._scripts.delete(*place))
            else:
                ttl_ms = 0 if op.ttl is None else max(1, int(op.ttl * _MINUTE_MS))
                sent.append(self._scripts.put(*place, values[place], made[place], ttl_ms))
        for answer in sent:
            await answer

    def _encoded(self, op: PutOp) -> bytes:
        if not isinstance(op.value, dict):
            raise InvalidRequest("value", "must be a JSON object")
        value = dumps(op.value)
        if len(value) > self._max_item_bytes:
            raise TooLarge(
                f"item {op.key!r} has {len(value)} bytes; SLIPWAY_MAX_STORE_ITEM_BYTES is {self._max_item_bytes}"
            )
        return value

    async def _vectors(self, puts: Sequence[PutOp]) -> list[bytes]:
        if self._index is None:
            return [b""] * len(puts)
        embedded = [(dict(op.value or {}), [] if op.index is False else op.index) for op in puts]
        return await self._index.of_values(embedded)

    # reading

    async def _read(self, op: Op) -> Result:
        if isinstance(op, GetOp):
            (held,) = await self._scripts.get(_dotted(op.namespace), [op.key], op.refresh_ttl)
            return _item(Item, op.namespace, op.key, held) if held else None
        if isinstance(op, ListNamespacesOp):
            return await self._namespaces(op)
        assert isinstance(op, SearchOp)
        check(op.filter or {})
        if op.query and self._index is not None:
            return cast(Result, await self._nearest(op, self._index, op.query))
        return cast(Result, await self._newest(op))

    async def _namespaces(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = op.match_conditions or ()
        await self._scripts.sweep(_SWEPT_AT_ONCE)
        found = [tuple(name.split(".")) for name in await self._scripts.namespaces(".".join(lead_of(conditions)))]
        cut = {name[: op.max_depth] if op.max_depth else name for name in found if matches(name, conditions)}
        return sorted(cut)[op.offset : op.offset + op.limit]

    async def _newest(self, op: SearchOp) -> list[SearchItem]:
        """By time of the last put."""
        wanted, found = op.offset + op.limit, 0
        shown: list[SearchItem] = []
        places = await self._places(_dotted(op.namespace_prefix), None if op.filter else wanted)
        for at in range(0, len(places), _PAGE):
            for item in await self._items(places[at : at + _PAGE], refresh=False):
                if not fits(item.value, op.filter or {}):
                    continue
                found += 1
                if found > op.offset:
                    shown.append(item)
                if found == wanted:
                    return await self._refreshed(shown, op)
        return await self._refreshed(shown, op)

    async def _nearest(self, op: SearchOp, index: Index, query: str) -> list[SearchItem]:
        """By closeness to the query; items that were not embedded are not found."""
        wanted = await index.of_query(query)
        best: list[tuple[float, int, SearchItem]] = []
        seen = 0
        async for places, vectors in self._embedded(_dotted(op.namespace_prefix)):
            scores = await asyncio.to_thread(closeness, wanted, vectors)
            close = {place: score for place, score in zip(places, scores, strict=True) if score is not None}
            for item in await self._items(list(close), refresh=False):
                if fits(item.value, op.filter or {}):
                    item.score = close[_dotted(item.namespace), item.key]
                    best.append((-item.score, seen, item))
                    seen += 1
            best = heapq.nsmallest(op.offset + op.limit, best)
        return await self._refreshed([item for _, _, item in best[op.offset :]], op)

    async def _embedded(self, prefix: str) -> AsyncIterator[tuple[list[_Place], list[bytes | None]]]:
        places = await self._places(prefix, None)
        for at in range(0, len(places), _PAGE):
            page = places[at : at + _PAGE]
            reads = [(names, self._scripts.vectors(ns, names)) for ns, names in _by_namespace(page).items()]
            held: list[bytes | None] = [vector for _, read in reads for vector in await read]
            yield [(ns, name) for ns, names in _by_namespace(page).items() for name in names], held

    async def _places(self, prefix: str, most: int | None) -> list[_Place]:
        """Items below a prefix, the last put first. With `most`, only so many are looked for; a few more are read, as
        some may be over."""
        if most is not None:
            await self._scripts.sweep(_SWEPT_AT_ONCE)
        namespaces = await self._scripts.namespaces(prefix)
        found: list[tuple[float, str, str]] = []
        for at in range(0, len(namespaces), _NAMESPACES_AT_ONCE):
            names = namespaces[at : at + _NAMESPACES_AT_ONCE]
            for ns, read in [(ns, self._scripts.newest(ns, MOST_SEEN + 1 if most is None else most)) for ns in names]:
                flat = iter(await read)
                found += [(-float(score), ns, key.decode()) for key, score in zip(flat, flat, strict=True)]
            if most is None and len(found) > MOST_SEEN:
                raise RefusedRequest(f"more than {MOST_SEEN} items lie below {prefix!r}: search a longer prefix")
            if most is not None:
                found = heapq.nsmallest(most, found)
        return [(ns, key) for _, ns, key in sorted(found)]

    async def _items(self, places: Sequence[_Place], *, refresh: bool) -> list[SearchItem]:
        """Those of the places that are there, in the same order; one round trip."""
        reads = [(ns, names, self._scripts.get(ns, names, refresh)) for ns, names in _by_namespace(places).items()]
        held = {(ns, name): data for ns, names, read in reads for name, data in zip(names, await read, strict=True)}
        return [_item(SearchItem, tuple(ns.split(".")), key, held[ns, key]) for ns, key in places if held[ns, key]]

    async def _refreshed(self, shown: list[SearchItem], op: SearchOp) -> list[SearchItem]:
        """Only what a search answers with has been read in its author's sense."""
        if op.refresh_ttl and shown:
            await self._items([(_dotted(item.namespace), item.key) for item in shown], refresh=True)
        return shown


def _dotted(namespace: Sequence[str]) -> str:
    return ".".join(namespace)


def _by_namespace(places: Sequence[_Place]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for ns, key in places:
        found.setdefault(ns, []).append(key)
    return found


def _item(kind: type[_Any], namespace: tuple[str, ...], key: str, held: bytes) -> _Any:
    created, updated, _, _, value = held.split(b"|", 4)
    return kind(
        value=orjson.loads(value),
        key=key,
        namespace=namespace,
        created_at=_moment(created),
        updated_at=_moment(updated),
    )


def _moment(us: bytes) -> datetime:
    return datetime.fromtimestamp(int(us) / 1_000_000, UTC)
