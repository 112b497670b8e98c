"""Searches for items: by the time of their last put, or by the similarity of their vectors to a query.

Conditions are checked here, item by item. A search with conditions therefore reads every item below its prefix, and a
search by similarity reads every vector below it. That is meant for up to about 10,000 items below the prefix. A search
that would read more than `MAX_SCANNED_ITEMS` items is rejected.

A search costs three round trips, and one more for each further page of items that it reads. Without conditions, it
reads only the namespaces whose last put is late enough: its cost does not depend on how many there are.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Sequence
from typing import Final

from langgraph.store.base import SearchItem, SearchOp

from slipway.errors import RefusedRequest
from slipway.serialization.at_rest import opened_vectors
from slipway.serialization.places import vectors_place
from slipway.store.embedding import VectorIndex, similarity
from slipway.store.filters import matches
from slipway.store.item import ItemKey, by_namespace, dotted, item_from
from slipway.store.scripts import StoreScripts

MAX_SCANNED_ITEMS: Final = 100_000

_PAGE: Final = 200
NAMESPACES_AT_ONCE: Final = 500
"""Namespaces that are read in one round trip. A search with no more below its prefix reads all of them."""

EXPIRED_PER_CALL: Final = 500
"""How many expired items one call deletes."""


_FoundItem = tuple[float, str, str]
"""The negative time of the last put in µs, the namespace and the key: in the order of results."""


class ItemSearch:
    """Searches by similarity need an `index`; without one a query is ignored."""

    def __init__(self, scripts: StoreScripts, index: VectorIndex | None) -> None:
        self._scripts, self._index = scripts, index

    async def run(self, op: SearchOp) -> list[SearchItem]:
        """The items that `op` asks for, best or newest first. Raises `RefusedRequest` when there are too many items."""
        if op.query and self._index is not None:
            items = await self._by_vector(op, self._index, op.query)
        else:
            items = await self._by_time(op)
        if op.refresh_ttl and items:  # items that were only scanned keep their time to live
            await self._read([ItemKey(dotted(item.namespace), item.key) for item in items], refresh=True)
        return items

    async def _by_time(self, op: SearchOp) -> list[SearchItem]:
        needed, matched = op.offset + op.limit, 0
        page: list[SearchItem] = []
        item_keys = await self._item_keys(dotted(op.namespace_prefix), None if op.filter else needed)
        for start in range(0, len(item_keys), _PAGE):
            for item in await self._read(item_keys[start : start + _PAGE], refresh=False):
                if not matches(item.value, op.filter or {}):
                    continue
                matched += 1
                if matched > op.offset:
                    page.append(item)
                if matched == needed:
                    return page
        return page

    async def _by_vector(self, op: SearchOp, index: VectorIndex, query: str) -> list[SearchItem]:
        """Items without a vector are not found."""
        query_vector = await index.embed_query(query)
        best: list[tuple[float, int, SearchItem]] = []
        matched = 0
        async for item_keys, vectors in self._vectors(dotted(op.namespace_prefix)):
            scores = await asyncio.to_thread(similarity, query_vector, vectors)
            score_of = {name: score for name, score in zip(item_keys, scores, strict=True) if score is not None}
            for item in await self._read(list(score_of), refresh=False):
                if matches(item.value, op.filter or {}):
                    item.score = score_of[ItemKey(dotted(item.namespace), item.key)]
                    best.append((-item.score, matched, item))
                    matched += 1
            best = heapq.nsmallest(op.offset + op.limit, best)
        return [item for _, _, item in best[op.offset :]]

    async def _vectors(self, prefix: str) -> AsyncIterator[tuple[list[ItemKey], list[bytes | None]]]:
        item_keys = await self._item_keys(prefix, None)
        for start in range(0, len(item_keys), _PAGE):
            page = by_namespace(item_keys[start : start + _PAGE])
            reads = [self._scripts.vectors(namespace, keys) for namespace, keys in page.items()]
            item_keys = [ItemKey(namespace, key) for namespace, keys in page.items() for key in keys]
            stored: list[bytes | None] = [vector for read in reads for vector in await read]
            yield item_keys, [_vectors_of(*each) for each in zip(item_keys, stored, strict=True)]

    async def _item_keys(self, prefix: str, limit: int | None) -> list[ItemKey]:
        """The items below a prefix, the last put first, then by namespace and key. With a `limit` only as many are
        read as the search needs, and expired items are deleted first."""
        if limit is not None:
            await self._scripts.sweep(EXPIRED_PER_CALL)
        most = MAX_SCANNED_ITEMS if limit is None else NAMESPACES_AT_ONCE
        namespaces = await self._scripts.namespace_page(prefix, None, 0, most + 1)
        if limit is None:
            found = await self._all_items(prefix, namespaces)
        elif len(namespaces) <= most:
            found = await self._newest_items(namespaces, limit)
        else:
            found = await self._newest_of_many(prefix, limit)
        return [ItemKey(namespace, key) for _, namespace, key in sorted(found)[:limit]]

    async def _all_items(self, prefix: str, namespaces: Sequence[str]) -> list[_FoundItem]:
        error = RefusedRequest(f"more than {MAX_SCANNED_ITEMS} items lie below {prefix!r}: search a longer prefix")
        if len(namespaces) > MAX_SCANNED_ITEMS:  # each has an item
            raise error
        found: list[_FoundItem] = []
        for start in range(0, len(namespaces), NAMESPACES_AT_ONCE):
            part = namespaces[start : start + NAMESPACES_AT_ONCE]
            found += await self._newest_items(part, MAX_SCANNED_ITEMS + 1)
            if len(found) > MAX_SCANNED_ITEMS:
                raise error
        return found

    async def _newest_of_many(self, prefix: str, limit: int) -> list[_FoundItem]:
        """The newest items below a prefix with many namespaces. Those with the last puts are read, until no other can
        have an item that is newer than `limit` of the items."""
        newest: list[_FoundItem] = []
        at_once, labels = max(1, min(limit, NAMESPACES_AT_ONCE)), f"{prefix}." if prefix else ""

        def are_complete(last_put_us: float) -> bool:
            return len(newest) == limit and (not newest or -newest[-1][0] > last_put_us)

        async for page in self._scripts.changed_namespaces():
            if are_complete(page[0][1]):
                break
            below = [each for each in page if f"{each[0]}.".startswith(labels)]
            for start in range(0, len(below), at_once):
                part = below[start : start + at_once]
                if are_complete(part[0][1]):
                    break
                found = await self._newest_items([namespace for namespace, _ in part], limit)
                # a namespace that has changed meanwhile comes twice
                newest = heapq.nsmallest(limit, {each[1:]: each for each in (*newest, *found)}.values())
        return newest

    async def _newest_items(self, namespaces: Sequence[str], limit: int) -> list[_FoundItem]:
        """The `limit` newest items of each namespace; one round trip."""
        reads = [(namespace, self._scripts.newest(namespace, limit)) for namespace in namespaces]
        found: list[_FoundItem] = []
        for namespace, read in reads:
            flat = iter(await read)
            found += [(-float(score), namespace, key.decode()) for key, score in zip(flat, flat, strict=True)]
        return found

    async def _read(self, item_keys: Sequence[ItemKey], *, refresh: bool) -> list[SearchItem]:
        """The items that exist, in the order of the keys; one round trip. `refresh` renews their time to live."""
        reads = [(ns, keys, self._scripts.get(ns, keys, refresh)) for ns, keys in by_namespace(item_keys).items()]
        stored: dict[ItemKey, bytes] = {}
        for namespace, keys, read in reads:
            stored |= {ItemKey(namespace, key): data for key, data in zip(keys, await read, strict=True)}
        return [item_from(SearchItem, item_key, stored[item_key]) for item_key in item_keys if stored[item_key]]


def _vectors_of(item_key: ItemKey, stored: bytes | None) -> bytes | None:
    return None if stored is None else opened_vectors(stored, vectors_place(*item_key))
