"""Items are put, read, found, expired and deleted."""

from __future__ import annotations

import asyncio
import re
from random import Random
from typing import Any

import pytest
from langgraph.store.base import GetOp, InvalidNamespaceError, ListNamespacesOp, MatchCondition, Op, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from slipway.errors import InvalidRequest, RefusedRequest, TooLarge
from slipway.items import aput_if_unchanged
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.store import scripts, search
from slipway.store.filters import matches_namespace
from slipway.store.store import RedisStore
from tests.store.conftest import ITEM_BYTES

A = ("users", "a")
B = ("users", "b")


async def found_keys(store: RedisStore, *prefix: str, **options: Any) -> list[str]:
    return [item.key for item in await store.asearch(prefix, **options)]


async def test_an_item_has_the_times_of_its_creation_and_its_last_put(store: RedisStore) -> None:
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


async def test_an_item_is_replaced_only_as_it_was_read(store: RedisStore) -> None:
    assert await aput_if_unchanged(store, A, "k", {"n": 1}, was=None)
    assert not await aput_if_unchanged(store, A, "k", {"n": 2}, was=None)
    first = await store.aget(A, "k")
    assert await aput_if_unchanged(store, A, "k", {"n": 3}, was=first)
    assert not await aput_if_unchanged(store, A, "k", {"n": 4}, was=first)
    third = await store.aget(A, "k")
    assert third is not None
    assert third.value == {"n": 3}
    await store.adelete(A, "k")
    assert not await aput_if_unchanged(store, A, "k", {"n": 5}, was=third)
    with pytest.raises(TypeError, match="is not Slipway's store"):
        await aput_if_unchanged(InMemoryStore(), A, "k", {}, was=None)


async def test_a_deleted_item_leaves_no_keys(store: RedisStore, pipeline: Pipeline, keys: Keys) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=5)
    await store.adelete(A, "k")
    await store.adelete(A, "k")
    assert await store.aget(A, "k") is None
    assert await pipeline.send("KEYS", f"{keys.prefix}:*") == []


async def test_a_batch_reads_first_and_shares_a_round_trip(store: RedisStore, pipeline: Pipeline) -> None:
    await store.abatch([PutOp(A, str(n), {"n": n}) for n in range(50)])
    before = pipeline.round_trips
    ops: list[Op] = [
        PutOp(A, "0", {"n": "overwritten"}),
        *(GetOp(A, str(n)) for n in range(50)),
        PutOp(A, "0", {"n": "new"}),
    ]
    results = await store.abatch(ops)
    assert pipeline.round_trips - before == 2  # the reads, then the writes
    assert [item.value["n"] for item in results[1:-1]] == list(range(50))  # type: ignore[union-attr]
    assert (await store.aget(A, "0")).value == {"n": "new"}  # type: ignore[union-attr]


async def test_searches_page_in_a_stable_order(store: RedisStore) -> None:
    for n in range(7):
        await store.aput((*A, str(n % 2)), f"k{n}", {"n": n})
    await store.aput(("users", "ab"), "other", {"n": 0})
    assert await found_keys(store, *A) == ["k6", "k5", "k4", "k3", "k2", "k1", "k0"]
    assert await found_keys(store, *A, limit=3, offset=2) == ["k4", "k3", "k2"]
    assert len(await found_keys(store, limit=100)) == 8
    assert await found_keys(store, "us") == []


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        ({"n": 3}, ["3"]),
        ({"n": {"$eq": 3}}, ["3"]),
        ({"n": {"$ne": 3}}, ["4", "2", "1", "0"]),
        ({"n": {"$gt": 2}}, ["4", "3"]),
        ({"n": {"$gte": 1, "$lt": 3}}, ["2", "1"]),
        ({"n": {"$lte": 0}}, ["0"]),
        ({"text": {"$gt": "w2"}}, ["4", "3"]),
        ({"text": {"$gt": 2}}, []),
        ({"inner": {"even": True}, "n": {"$gt": 0}}, ["4", "2"]),
        ({"n": True}, []),
        ({"inner": {"even": {"$lte": 1}}}, []),
        ({"n": {"$gte": False}}, []),
        ({"missing": None}, ["4", "3", "2", "1", "0"]),
    ],
)
async def test_a_search_applies_every_condition(
    store: RedisStore, conditions: dict[str, Any], found: list[str]
) -> None:
    for n in range(5):
        await store.aput(A, str(n), {"n": n, "text": f"w{n}", "inner": {"even": n % 2 == 0}})
    assert await found_keys(store, *A, filter=conditions) == found


async def test_the_error_names_an_unknown_operator(store: RedisStore) -> None:
    with pytest.raises(RefusedRequest, match=r"\$like"):
        await store.asearch(A, filter={"n": {"$like": 1}})


async def test_namespaces_are_listed_by_prefix_suffix_and_depth(store: RedisStore) -> None:
    for namespace in [("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c"), ("ab", "b"), ("z",)]:
        await store.aput(namespace, "k", {})
    assert await store.alist_namespaces(prefix=("a",)) == [("a", "b", "c"), ("a", "b", "d"), ("a", "x", "c")]
    assert await store.alist_namespaces(prefix=("a", "*", "c")) == [("a", "b", "c"), ("a", "x", "c")]
    assert await store.alist_namespaces(suffix=("b",)) == [("ab", "b")]
    assert await store.alist_namespaces(max_depth=1) == [("a",), ("ab",), ("z",)]
    assert await store.alist_namespaces(max_depth=1, limit=1, offset=1) == [("ab",)]


async def expire(pipeline: Pipeline, keys: Keys, namespace: str, key: str) -> None:
    """Sets the expiry of an item to the past."""
    items = f"{keys.prefix}:store:items:{namespace}"
    created, updated, expires, ttl, value = (await pipeline.send("HGET", items, key)).split(b"|", 4)
    assert expires != b"0"
    await pipeline.send("HSET", items, key, b"|".join((created, updated, b"1", ttl, value)))
    await pipeline.send("ZADD", keys.store_expiry, 1, f"{namespace}\0{key}")


async def test_an_expired_item_is_not_found(store: RedisStore, pipeline: Pipeline, keys: Keys) -> None:
    await store.aput(A, "old", {"n": 1}, ttl=1)
    await store.aput(A, "new", {"n": 2})
    await expire(pipeline, keys, "users.a", "old")
    assert await store.aget(A, "old") is None
    assert await found_keys(store, *A, filter={"n": {"$gt": 0}}) == ["new"]
    assert await store.sweep() == 1
    assert await store.sweep() == 0


async def test_an_item_that_is_put_after_its_expiry_is_a_new_item(
    store: RedisStore, pipeline: Pipeline, keys: Keys
) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=1)
    await expire(pipeline, keys, "users.a", "k")
    await store.aput(A, "k", {"n": 2}, ttl=1)
    item = await store.aget(A, "k")
    assert item is not None
    assert item.created_at == item.updated_at


async def test_a_namespace_with_expired_items_only_is_not_listed(
    store: RedisStore, pipeline: Pipeline, keys: Keys
) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=1)
    await store.aput(B, "k", {"n": 1}, ttl=1)
    await expire(pipeline, keys, "users.a", "k")
    assert await store.alist_namespaces() == [B]


async def test_a_search_that_would_read_too_many_items_is_rejected(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway.store.search.MAX_SCANNED_ITEMS", 3)
    for n in range(3):
        await store.aput(A, str(n), {"n": 1})
    assert len(await found_keys(store, *A, filter={"n": 1})) == 3
    await store.aput(B, "k", {"n": 1})
    with pytest.raises(RefusedRequest, match="more than 3 items lie below 'users'"):
        await found_keys(store, "users", filter={"n": 1})
    assert len(await found_keys(store, "users")) == 4, "a search without conditions reads one page"


async def test_a_read_renews_the_time_to_live_unless_the_caller_disables_that(
    store: RedisStore, pipeline: Pipeline, keys: Keys
) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=10)

    async def expiry() -> float:
        return float(await pipeline.send("ZSCORE", keys.store_expiry, "users.a\0k"))

    async def let_a_minute_pass() -> float:
        """Changes the stored expiry, and returns it."""
        return float(await pipeline.send("ZINCRBY", keys.store_expiry, -60_000, "users.a\0k"))

    before = await let_a_minute_pass()
    await store.aget(A, "k", refresh_ttl=False)
    await store.asearch(A, refresh_ttl=False)
    assert await expiry() == before
    await store.aget(A, "k")
    assert await expiry() >= before + 60_000
    before = await let_a_minute_pass()
    await store.asearch(A)
    assert await expiry() >= before + 60_000


async def test_an_item_that_is_put_without_a_ttl_does_not_expire(
    store: RedisStore, pipeline: Pipeline, keys: Keys
) -> None:
    await store.aput(A, "k", {"n": 1}, ttl=10)
    await store.aput(A, "k", {"n": 2})
    assert await pipeline.send("ZCARD", keys.store_expiry) == 0


@pytest.mark.parametrize(("ttl", "ttl_ms"), [(0.5, 30_000), (1.5, 90_000), (1e-9, 1)])
async def test_a_ttl_may_be_a_fraction_of_a_minute(
    store: RedisStore, pipeline: Pipeline, keys: Keys, ttl: float, ttl_ms: int
) -> None:
    async def now_ms() -> float:
        seconds, us = await pipeline.send("TIME")
        return int(seconds) * 1000 + int(us) / 1000

    before = await now_ms()
    await store.aput(A, "k", {"n": 1}, ttl=ttl)
    after = await now_ms()
    expiry = float(await pipeline.send("ZSCORE", keys.store_expiry, "users.a\0k"))
    assert before - 1 <= expiry - ttl_ms <= after


async def test_invalid_items_are_rejected(store: RedisStore) -> None:
    text_bytes = ITEM_BYTES - len('{"text":""}')
    await store.aput(A, "k", {"text": "x" * text_bytes})
    with pytest.raises(TooLarge, match="SLIPWAY_MAX_STORE_ITEM_BYTES"):
        await store.aput(A, "k", {"text": "x" * (text_bytes + 1)})
    with pytest.raises(InvalidRequest, match="JSON object"):
        await store.abatch([PutOp(A, "k", [1])])  # type: ignore[arg-type]
    with pytest.raises(InvalidNamespaceError):
        await store.abatch([SearchOp(("a.b",))])


async def test_synchronous_methods_work_from_threads_only(store: RedisStore) -> None:
    await asyncio.to_thread(store.put, B, "k", {"n": 1})
    assert (await asyncio.to_thread(store.get, B, "k")).value == {"n": 1}  # type: ignore[union-attr]
    with pytest.raises(RuntimeError, match="await"):
        store.get(B, "k")


async def test_pages_of_namespaces_are_those_of_a_comparison(
    store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "NAMESPACES_PER_PAGE", 3)
    random, labels = Random(1), ["a", "a-b", "b", "ab", "1"]
    namespaces = {tuple(random.choices(labels, k=random.randint(1, 4))) for _ in range(60)}
    for namespace in namespaces:
        await store.aput(namespace, "k", {})
    in_order = sorted(namespaces, key=lambda namespace: "".join(f"{label}." for label in namespace))
    for _ in range(60):
        prefix, suffix = [random.choices([*labels, "*"], k=random.randint(0, 2)) for _ in range(2)]
        depth, offset = random.choice([None, 1, 2]), random.choice([0, 1, 4])
        conditions = [MatchCondition("prefix", tuple(prefix))] * bool(prefix)
        conditions += [MatchCondition("suffix", tuple(suffix))] * (random.random() < 0.3)
        matching = [each[:depth] for each in in_order if matches_namespace(each, conditions)]
        expected = list(dict.fromkeys(matching))[offset : offset + 5]
        found = await store.abatch([ListNamespacesOp(tuple(conditions), depth, 5, offset)])
        assert found == [expected], (conditions, depth, offset)


async def test_searches_of_many_namespaces_are_those_of_a_comparison(
    store: RedisStore, pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "NAMESPACES_PER_PAGE", 5)
    monkeypatch.setattr(search, "NAMESPACES_AT_ONCE", 3)
    random, labels = Random(2), ["a", "a-b", "b", "ab", "1"]
    newest_first: list[tuple[tuple[str, ...], str]] = []
    for _ in range(150):
        item = tuple(random.choices(labels, k=random.randint(1, 3))), random.choice("kl")
        if item in newest_first:
            newest_first.remove(item)
        if random.random() < 0.2:
            await store.adelete(*item)
        else:
            await store.aput(*item, {})
            newest_first.insert(0, item)
    for prefix in [(), *((label,) for label in labels), ("a", "b"), ("none",)]:
        for limit, offset in [(1, 0), (4, 0), (4, 7), (500, 0), (0, 0)]:
            found = await store.asearch(prefix, limit=limit, offset=offset)
            expected = [item for item in newest_first if item[0][: len(prefix)] == prefix][offset : offset + limit]
            assert [(item.namespace, item.key) for item in found] == expected, (prefix, limit, offset)
    for namespace, key in newest_first:
        await store.adelete(namespace, key)
    assert await pipeline.send("KEYS", f"{keys.prefix}:store*") == []


async def test_namespaces_with_one_time_are_all_read(
    store: RedisStore, pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "NAMESPACES_PER_PAGE", 2)
    monkeypatch.setattr(search, "NAMESPACES_AT_ONCE", 3)
    for number in range(9):
        await store.aput(("n", str(number)), "k", {})
        for key in (keys.store_changed, keys.store_order(f"n.{number}")):
            await pipeline.send("ZADD", key, "XX", 10**15 + number // 7, f"n.{number}." if "changed" in key else "k")
    found = await store.asearch(("n",), limit=20)
    assert [item.namespace[1] for item in found] == ["7", "8", *"0123456"]


async def test_a_search_reads_few_of_many_namespaces(store: RedisStore, pipeline: Pipeline) -> None:
    await store.abatch([PutOp(("users", str(number)), "k", {"n": number}) for number in range(600)])
    await pipeline.send("CONFIG", "RESETSTAT")
    found = await store.asearch(("users",), limit=5)
    assert [item.value["n"] for item in found] == [599, 598, 597, 596, 595]
    stats = (await pipeline.send("INFO", "commandstats", repeatable=True)).decode()
    calls = int(re.search(r"cmdstat_zrevrange:calls=(\d+)", stats)[1])  # type: ignore[index]
    assert calls <= 10, "it reads as many namespaces as it returns items, and a few more"


async def test_an_empty_namespace_at_the_front_is_no_result(
    store: RedisStore, pipeline: Pipeline, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion of its newest item leaves a namespace where it was."""
    monkeypatch.setattr(search, "NAMESPACES_AT_ONCE", 2)
    for number in range(6):
        await store.aput(("n", str(number)), "first", {})
    await store.aput(("n", "0"), "second", {})
    await store.adelete(("n", "0"), "second")
    found = await store.asearch(("n",), limit=2)
    assert [item.namespace[1] for item in found] == ["5", "4"]
