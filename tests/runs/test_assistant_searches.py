"""A search of assistants finds what a comparison of all assistants finds, in every order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, Final, get_args

import pytest

from slipway.access.filters import parse_filter
from slipway.api.bodies.assistants import AssistantSearchBody
from slipway.assistants import search
from slipway.assistants.record import Assistant, AssistantChanges
from slipway.assistants.search import AssistantQuery, AssistantSearch
from slipway.assistants.store import AssistantStore
from slipway.errors import NotFound
from slipway.runs.record import new_id
from tests.runs.conftest import Stores

ORDERS: Final = get_args(AssistantSearchBody.model_fields["sort_by"].annotation)
NAMES: Final = ("Anna", "anton", "Bert", "STRASSE", "straße", "")
VALUES: Final = (1, 1.0, True, None, "x", ["a", "b"], ["a", {"deep": 1}], {"deep": 1}, "long " * 50)
MEMBERS: Final = ("team", "kind")


async def changed_assistants(stores: Stores, random: Random, steps: int) -> list[Assistant]:
    """The assistants after random creations, changes, selections of versions and deletions."""
    store, assistant_ids = AssistantStore(stores.pipeline, stores.shards.assistants), [new_id() for _ in range(30)]
    for _ in range(steps):
        assistant_id = random.choice(assistant_ids)
        changes = AssistantChanges(
            graph_id=random.choice(["steps", "chat", "rare"]),
            name=random.choice(NAMES),
            metadata={random.choice(MEMBERS): random.choice(VALUES) for _ in range(random.randint(0, 2))},
        )
        with suppress(NotFound):
            match random.randrange(8):
                case 0:
                    await store.delete(assistant_id)
                case 1:
                    await store.set_current_version(assistant_id, random.randint(1, 3))
                case 2 | 3:
                    await store.patch(assistant_id, replace(changes, graph_id=None), token=new_id())
                case _:
                    await store.create(assistant_id, changes, token=new_id(), exist_ok=True)
    found = [await store.get(assistant_id) for assistant_id in assistant_ids]
    return [assistant for assistant in found if assistant is not None]


def queries(random: Random) -> Iterator[AssistantQuery]:
    yield AssistantQuery()
    for _ in range(40):
        query = AssistantQuery()
        if random.random() < 0.4:
            query = replace(query, graph_id=random.choice(["steps", "chat", "rare", "unknown"]))
        if random.random() < 0.3:
            query = replace(query, name=random.choice(["AN", "ss", "t", "ß", "nobody"]))
        if random.random() < 0.5:
            query = replace(query, metadata={random.choice(MEMBERS): random.choice(VALUES)})
        if random.random() < 0.3:
            condition: Any = {random.choice(MEMBERS): random.choice(["x", {"$contains": "a"}, 1])}
            query = replace(query, access_filter=parse_filter({"$or": [condition, {"kind": "x"}]}))
        yield query


@pytest.mark.parametrize("sorted_here", [500, 2])
async def test_every_search_finds_what_a_comparison_finds(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, sorted_here: int
) -> None:
    """With few assistants that are sorted after they were read, and with more than those."""
    monkeypatch.setattr(search, "SORTED_HERE", sorted_here)
    random = Random(sorted_here)
    assistants = await changed_assistants(stores, random, 150)
    assert len(assistants) > 15
    searches = AssistantSearch(stores.pipeline, stores.shards.assistants, max_checks=20_000)
    for query in queries(random):
        matching = [each for each in assistants if query.matches(each)]
        sort_by, descending, offset = random.choice(ORDERS), random.random() < 0.5, random.choice([0, 0, 1, 5])
        matching.sort(key=lambda each: (str(getattr(each, sort_by)), each.assistant_id), reverse=descending)
        found = await searches.page(query, limit=7, offset=offset, sort_by=sort_by, descending=descending)
        assert found.complete
        assert found.records == matching[offset : offset + 7], (query, sort_by, descending, offset)
        counted = await searches.count(query)
        assert (counted.number, counted.complete) == (len(matching), True)


async def test_no_index_names_a_deleted_assistant(stores: Stores) -> None:
    store = AssistantStore(stores.pipeline, stores.shards.assistants)
    for assistant in await changed_assistants(stores, Random(3), 60):
        await store.delete(assistant.assistant_id)
    names = {name.decode() for name in await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:*")}
    assert {name for name in names if ":assistant" in name} == set()


async def test_an_incomplete_search_says_so(stores: Stores) -> None:
    """Nested members have no terms, so each assistant is read."""
    store = AssistantStore(stores.pipeline, stores.shards.assistants)
    for number in range(130):
        changes = AssistantChanges(graph_id="steps", name="x", metadata={"nested": {"number": number}})
        await store.create(new_id(), changes, token=new_id(), exist_ok=False)
    searches = AssistantSearch(stores.pipeline, stores.shards.assistants, max_checks=1000)
    query = AssistantQuery(metadata={"nested": {"number": 0}})
    found = await searches.page(query, limit=1, offset=0, sort_by="created_at", descending=True)
    assert (found.records, found.complete) == ([], False)
