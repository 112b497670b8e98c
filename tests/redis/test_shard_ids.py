"""The shards of threads and runs follow from their ids."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest

from slipway.redis.shard_ids import hash_in_run_id, run_id_beside, run_id_on, thread_hash
from slipway.redis.shards import Shards
from slipway.runs.record import new_id
from slipway.runs.run_request import RunIds
from slipway.settings import MOST_SHARDS

THREAD = "018f4e5c-7d1a-7c3e-9b6a-0123456789ab"


@pytest.mark.parametrize("count", [1, 2, 8, 63, 64, MOST_SHARDS])
def test_a_run_is_in_the_shard_of_its_thread(count: int) -> None:
    shards = Shards("p", count)
    for _ in range(200):
        thread_id = new_id()
        run_id = run_id_on(thread_id, new_id())
        assert shards.of_run(run_id) == shards.of_thread(thread_id)
        assert shards.of_run(run_id_beside(run_id, new_id())) == shards.of_thread(thread_id)


def test_a_run_id_remains_a_uuid_of_its_version() -> None:
    seed = new_id()
    run_id = run_id_on(THREAD, seed)
    assert run_id[:-3] == seed[:-3]
    assert str(uuid.UUID(run_id)) == run_id
    assert uuid.UUID(run_id).version == uuid.UUID(seed).version
    assert run_id_on(THREAD, seed) == run_id


def test_the_hash_of_a_thread_never_changes() -> None:
    """Another hash would hide all stored threads."""
    assert thread_hash(THREAD) == 0xC3B
    assert thread_hash("") == 0
    assert thread_hash("Zürich") == 0x52C


@pytest.mark.parametrize("text", ["", "x", "no-id", "018f4e5c-7d1a-7c3e-9b6a-0123456789zz", "ä"])
def test_a_text_that_is_no_run_id_has_a_shard(text: str) -> None:
    assert hash_in_run_id(text) == 0


def test_both_ids_of_a_stateless_run_follow_from_one_seed() -> None:
    seed = new_id()
    ids = RunIds.new(seed)
    assert ids == RunIds.new(seed)
    assert thread_hash(ids.thread_id) == hash_in_run_id(ids.run_id)


@pytest.mark.parametrize("count", [1, 8, 64, MOST_SHARDS])
def test_an_id_beside_a_thread_is_in_its_shard(count: int) -> None:
    shards = Shards("p", count)
    for _ in range(50):
        thread_id, seed = new_id(), new_id()
        beside = shards.id_beside(thread_id, seed)
        assert shards.of_thread(beside) == shards.of_thread(thread_id)
        assert beside == shards.id_beside(thread_id, seed)
        assert beside[:-3] == seed[:-3]


def test_threads_are_spread_evenly() -> None:
    shards = Shards("p", 64)
    found = Counter(shards.number_of_thread(new_id()) for _ in range(64_000))
    assert len(found) == 64
    assert max(found.values()) < 1_250


def test_one_shard_has_the_key_prefix_itself() -> None:
    shards = Shards("p")
    assert {keys.prefix for keys in shards.every} == {"p"}
    assert shards.crons.crons == "p:crons"
    assert shards.only.run("r") == "p:run:r"


def test_several_shards_have_hash_tags() -> None:
    shards = Shards("p", 2)
    assert [keys.queue for keys in shards.threads] == ["p{0}:queue", "p{1}:queue"]
    assert shards.crons.crons == "p{crons}:crons"
    assert shards.layout.layout == "p:layout"
    assert len({keys.prefix for keys in shards.every}) == len(shards.every)


def test_a_key_of_another_shard_is_an_error() -> None:
    shards = Shards("p", 2)
    with pytest.raises(AssertionError, match="crons belongs to the shard crons"):
        assert shards.threads[0].crons
    assert shards.threads[0].control("w") == "p{0}:worker:w:control"
