"""Items: kept, found, expired, gone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langgraph.store.base import GetOp, InvalidNamespaceError, Op, PutOp, SearchOp

from slipway.errors import InvalidRequest, RefusedRequest, TooLarge
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.store.store import RedisStore
from tests.store.conftest import ITEM_BYTES

A = ("users", "a")
B = ("users", "b")


async def names(store: RedisStore, *prefix: str, **how: Any) -> list[str]:
    """Keys that a search finds."""
    return [item.key for item in await store.asearch(prefix, **how)]


async def test_an_item_comes_back_with_its_times(store: RedisStore) -> None:
    await store.aput(A, "k", {"n": 1, "text": "ä\0|b"})
    first = await store.aget(A, "k")
    assert first is not None
    assert (first.namespace, first.key, first.value["n"]) == (A, "k", 1)
    assert first.created_at == first.updated_at
    await store.aput(A, "k", {"n": 2})
    second = await store.aget(A, "k")
    assert second is not None
    assert (second.value, second.created_at) == ({"n": 2}, first.created_at)
    assert second.updated_at > first.updated_at


async def test_nothing_is_left_of_what_is_deleted(store: RedisStore, pipeline: Pipeline, keys: Keys) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=5)
    await store.adelete(A, "k")
    await store.adelete(A, "k")
    assert await store.aget(A, "k") is None
    assert await pipeline.send("KEYS", f"{keys.prefix}:*") == []


async def test_a_batch_reads_first_and_shares_a_round_trip(store: RedisStore, pipeline: Pipeline) -> None:
    await store.abatch([PutOp(A, str(n), {"n": n}) for n in range(50)])
    before = pipeline.round_trips
    ops: list[Op] = [PutOp(A, "0", {"n": "lost"}), *(GetOp(A, str(n)) for n in range(50)), PutOp(A, "0", {"n": "new"})]
    answers = await store.abatch(ops)
    assert pipeline.round_trips - before == 2  # the reads, then the writes
    assert [item.value["n"] for item in answers[1:-1]] == list(range(50))  # type: ignore[union-attr]
    assert (await store.aget(A, "0")).value == {"n": "new"}  # type: ignore[union-attr]


async def test_searches_page_in_a_stable_order(store: RedisStore) -> None:
    for n in range(7):
        await store.aput((*A, str(n % 2)), f"k{n}", {"n": n})
    await store.aput(("users", "ab"), "other", {"n": 0})
    assert await names(store, *A) == ["k6", "k5", "k4", "k3", "k2", "k1", "k0"]
    assert await names(store, *A, limit=3, offset=2) == ["k4", "k3", "k2"]
    assert len(await names(store, limit=100)) == 8
    assert await names(store, "us") == []


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"n": 3}, ["3"]),
        ({"n": {"$eq": 3}}, ["3"]),
        ({"n": {"$ne": 3}}, ["4", "2", "1", "0"]),
        ({"n": {"$gt": 2}}, ["4", "3"]),
        ({"n": {"$gte": 1, "$lt": 3}}, ["2", "1"]),
        ({"n": {"$lte": 0}}, ["0"]),
        ({"word": {"$gt": "w2"}}, ["4", "3"]),
        ({"word": {"$gt": 2}}, []),
        ({"inner": {"even": True}, "n": {"$gt": 0}}, ["4", "2"]),
        ({"n": True}, []),
        ({"inner": {"even": {"$lte": 1}}}, []),
        ({"n": {"$gte": False}}, []),
        ({"gone": None}, ["4", "3", "2", "1", "0"]),
    ],
)
async def test_conditions(store: RedisStore, conditions: dict[str, Any], found: list[str]) -> None:
    for n in range(5):
        await store.aput(A, str(n), {"n": n, "word": f"w{n}", "inner": {"even": n % 2 == 0}})
    assert await names(store, *A, filter=conditions) == found


async def test_an_unknown_operator_is_named(store: RedisStore) -> None:
    with pytest.raises(RefusedRequest, match=r"\$like"):
        await store.asearch(A, filter={"n": {"$like": 1}})


async def test_namespaces(store: RedisStore) -> None:
    for namespace in [("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c"), ("ab", "b"), ("z",)]:
        await store.aput(namespace, "k", {})
    assert await store.alist_namespaces(prefix=("a",)) == [("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c")]
    assert await store.alist_namespaces(prefix=("a", "*", "c")) == [("a", "b", "c"), ("a", "x", "c")]
    assert await store.alist_namespaces(suffix=("b",)) == [("ab", "b")]
    assert await store.alist_namespaces(max_depth=1) == [("a",), ("ab",), ("z",)]
    assert await store.alist_namespaces(max_depth=1, limit=1, offset=1) == [("ab",)]


async def age(pipeline: Pipeline, keys: Keys, namespace: str, key: str) -> None:
    """Make an item's time be over."""
    items = f"{keys.prefix}:store:items:{namespace}"
    created, updated, expires, ttl, value = (await pipeline.send("HGET", items, key)).split(b"|", 4)
    assert expires != b"0"
    await pipeline.send("HSET", items, key, b"|".join((created, updated, b"1", ttl, value)))
    await pipeline.send("ZADD", f"{keys.prefix}:store:expiry", 1, f"{namespace}\0{key}")


async def test_an_item_whose_time_is_over_is_gone_at_once(store: RedisStore, pipeline: Pipeline, keys: Keys) -> None:
    await store.aput(A, "old", {"n": 1}, ttl=1)
    await store.aput(A, "new", {"n": 2})
    await age(pipeline, keys, "users.a", "old")
    assert await store.aget(A, "old") is None
    assert await names(store, *A, filter={"n": {"$gt": 0}}) == ["new"]
    assert await store.sweep() == 1
    assert await store.sweep() == 0


async def test_an_item_that_is_put_after_its_time_was_over_is_new(
    store: RedisStore, pipeline: Pipeline, keys: Keys
) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=1)
    await age(pipeline, keys, "users.a", "k")
    await store.aput(A, "k", {"n": 2}, ttl=1)
    item = await store.aget(A, "k")
    assert item is not None
    assert item.created_at == item.updated_at


async def test_a_namespace_whose_items_are_all_over_is_not_listed(
    store: RedisStore, pipeline: Pipeline, keys: Keys
) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=1)
    await store.aput(B, "k", {"n": 1}, ttl=1)
    await age(pipeline, keys, "users.a", "k")
    assert await store.alist_namespaces() == [B]


async def test_a_search_that_would_look_at_too_many_items_is_refused(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.store.search.MAX_SCANNED_ITEMS", 3)
    for n in range(3):
        await store.aput(A, str(n), {"n": 1})
    assert len(await names(store, *A, filter={"n": 1})) == 3
    await store.aput(B, "k", {"n": 1})
    with pytest.raises(RefusedRequest, match="more than 3 items lie below 'users'"):
        await names(store, "users", filter={"n": 1})
    assert len(await names(store, "users")) == 4, "a search without conditions looks at one page"


async def test_reading_renews_unless_told_not_to(store: RedisStore, pipeline: Pipeline, keys: Keys) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=10)

    async def ends() -> float:
        return float(await pipeline.send("ZSCORE", f"{keys.prefix}:store:expiry", "users.a\0k"))

    before = await ends()
    await asyncio.sleep(0.01)
    await store.aget(A, "k", refresh_ttl=False)
    await store.asearch(A, refresh_ttl=False)
    assert await ends() == before
    await store.aget(A, "k")
    renewed = await ends()
    assert renewed > before
    await asyncio.sleep(0.01)
    await store.asearch(A)
    assert await ends() > renewed


async def test_a_new_value_without_a_time_stays(store: RedisStore, pipeline: Pipeline, keys: Keys) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=10)
    await store.aput(A, "k", {"n": 2})
    assert await pipeline.send("ZCARD", f"{keys.prefix}:store:expiry") == 0


@pytest.mark.parametrize(("ttl", "lives_ms"), [(0.5, 30_000), (1.5, 90_000), (1e-9, 1)])
async def test_a_time_is_counted_in_fractions_of_minutes(
    store: RedisStore, pipeline: Pipeline, keys: Keys, ttl: float, lives_ms: int
) -> None:
    async def now_ms() -> float:
        seconds, us = await pipeline.send("TIME")
        return int(seconds) * 1000 + int(us) / 1000

    before = await now_ms()
    await store.aput(A, "k", {"n": 1}, ttl=ttl)
    after = await now_ms()
    ends = float(await pipeline.send("ZSCORE", f"{keys.prefix}:store:expiry", "users.a\0k"))
    assert before - 1 <= ends - lives_ms <= after


async def test_what_cannot_be_kept_is_refused(store: RedisStore) -> None:
    room = ITEM_BYTES - len('{"text":""}')
    await store.aput(A, "k", {"text": "x" * room})
    with pytest.raises(TooLarge, match="SLIPWAY_MAX_STORE_ITEM_BYTES"):
        await store.aput(A, "k", {"text": "x" * (room + 1)})
    with pytest.raises(InvalidRequest, match="JSON object"):
        await store.abatch([PutOp(A, "k", [1])])  # type: ignore[arg-type]
    with pytest.raises(InvalidNamespaceError):
        await store.abatch([SearchOp(("a.b",))])


async def test_synchronous_methods_work_from_threads_only(store: RedisStore) -> None:
    await asyncio.to_thread(store.put, B, "k", {"n": 1})
    assert (await asyncio.to_thread(store.get, B, "k")).value == {"n": 1}  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="await"):
        store.get(B, "k")
