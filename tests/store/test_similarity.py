"""Searches for items by the similarity of their vectors to a query."""

from __future__ import annotations

import math
import random

import pytest

from slipway.errors import ConfigError, Unavailable
from slipway.graphs.official_sections import IndexSection
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.store.embedding import VectorIndex, similarity
from slipway.store.store import RedisStore
from tests.store.project.store_graphs import embed

DOCS = ("docs",)


def indexed(pipeline: Pipeline, keys: Keys, fields: list[str] | None = None, dims: int = 3) -> RedisStore:
    """A store whose embedding function counts three words."""
    section = IndexSection(dims=dims, embed="./x.py:embed", fields=fields or ["$"])
    return RedisStore(pipeline, keys, max_item_bytes=10_000, index=VectorIndex(section, lambda name: embed))


async def test_the_most_similar_items_are_first_and_have_a_score(pipeline: Pipeline, keys: Keys) -> None:
    store = indexed(pipeline, keys, ["text", "tags[*]"])
    await store.aput(DOCS, "cats", {"text": "cat cat dog", "kind": 1})
    await store.aput(DOCS, "dogs", {"text": "dog", "tags": ["cat", "nothing"], "kind": 2})
    await store.aput(DOCS, "taxes", {"text": "tax", "kind": 1})
    await store.aput(DOCS, "hidden", {"text": "cat"}, index=False)
    await store.aput(DOCS, "elsewhere", {"text": "tax", "note": "cat"}, index=["note"])
    await store.aput(DOCS, "without_text", {"kind": 3})
    found = await store.asearch(DOCS, query="cat")
    assert [item.key for item in found] == ["elsewhere", "dogs", "cats", "taxes"]
    scores = [item.score or 0 for item in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == pytest.approx(1)
    assert [item.key for item in await store.asearch(DOCS, query="cat", filter={"kind": 1})] == ["cats", "taxes"]
    assert [item.key for item in await store.asearch(DOCS, query="cat", limit=1, offset=1)] == ["dogs"]


async def test_many_items_are_read_in_pages(pipeline: Pipeline, keys: Keys) -> None:
    store = indexed(pipeline, keys, ["text"])
    for n in range(450):
        await store.aput((*DOCS, str(n % 3)), str(n), {"text": "tax"})
    await store.aput((*DOCS, "1"), "needle", {"text": "cat"})
    assert [item.key for item in await store.asearch(DOCS, query="cat", limit=1)] == ["needle"]


async def test_a_put_replaces_the_vectors_of_an_item(pipeline: Pipeline, keys: Keys) -> None:
    store = indexed(pipeline, keys, ["text"])
    await store.aput(DOCS, "k", {"text": "cat"})
    await store.aput(DOCS, "k", {"other": "cat"})
    assert await store.asearch(DOCS, query="cat") == []


async def test_a_deleted_item_leaves_no_vectors(pipeline: Pipeline, keys: Keys) -> None:
    store = indexed(pipeline, keys, ["text"])
    await store.aput(DOCS, "k", {"text": "cat"}, ttl=5)
    await store.adelete(DOCS, "k")
    assert await pipeline.send("KEYS", f"{keys.prefix}:*") == []


async def test_without_an_index_a_query_is_ignored(pipeline: Pipeline, keys: Keys) -> None:
    store = RedisStore(pipeline, keys, max_item_bytes=1000)
    await store.aput(DOCS, "k", {"text": "cat"})
    (item,) = await store.asearch(DOCS, query="dog")
    assert item.score is None


async def test_the_error_names_the_number_of_dimensions(pipeline: Pipeline, keys: Keys) -> None:
    with pytest.raises(ConfigError, match="dims is 4"):
        await indexed(pipeline, keys, dims=4).aput(DOCS, "k", {"text": "cat"})
    with pytest.raises(ConfigError, match="dims is 4"):
        await VectorIndex(IndexSection(dims=4, embed="./x.py:embed"), lambda name: embed).embed_query("cat")


async def test_a_failing_embedding_function_makes_the_store_unavailable(pipeline: Pipeline, keys: Keys) -> None:
    async def fail(texts: list[str]) -> list[list[float]]:
        raise ConnectionError("no route")

    index = VectorIndex(IndexSection(dims=3, embed="./x.py:embed"), lambda name: fail)
    store = RedisStore(pipeline, keys, max_item_bytes=1000, index=index)
    with pytest.raises(Unavailable, match="ConnectionError; the server's log"):
        await store.aput(DOCS, "k", {"text": "cat"})
    with pytest.raises(Unavailable, match="ConnectionError; the server's log"):
        await store.asearch(DOCS, query="cat")
    assert await store.aget(DOCS, "k") is None


def test_the_error_names_the_setting_of_a_missing_embedding_function() -> None:
    def load(name: str) -> object:
        raise FileNotFoundError(name)

    with pytest.raises(ConfigError, match=r"store\.index\.embed"):
        VectorIndex(IndexSection(dims=3, embed="./missing.py:embed"), load)


async def cosine(first: str, second: str) -> float:
    """The cosine of the vectors of two texts, by its definition."""
    one, other = await embed([first, second])
    return sum(a * b for a, b in zip(one, other, strict=True)) / (math.hypot(*one) * math.hypot(*other))


async def test_similarities_are_the_highest_cosines_of_each_item() -> None:
    generator = random.Random(7)
    index = VectorIndex(IndexSection(dims=3, embed="./x.py:embed", fields=["a", "b"]), lambda name: embed)
    texts = ["cat dog", "tax", "cat", "dog dog tax", ""]
    values = [({"a": generator.choice(texts), "b": generator.choice(texts)}, None) for _ in range(40)]
    stored = [*(await index.embed_values(values)), None, b""]
    query = await index.embed_query("cat")
    cosines = [[await cosine(text, "cat") for text in value.values() if text] for value, _ in values]
    expected = [max(of_item, default=None) for of_item in cosines]
    assert similarity(query, stored) == pytest.approx([*expected, None, None], abs=1e-6)
    assert similarity([1.0], stored) == [None] * len(stored)
