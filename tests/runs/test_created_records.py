"""What the creation of a run returns, what it stores, and records that an earlier release stored."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.graphs.registry import Registry
from slipway.runs.record import PRIORITY_MS, Phase, Run, new_id, run_from
from slipway.serialization.json_encoding import dumps
from tests.runs.conftest import Stores, new_run
from tests.runs.executions import execute_next

MANY_MEMBERS = 5_000
"""More than Lua can pass to one command."""

SPECS: dict[str, dict[str, Any]] = {
    "small": {},
    "all fields": {
        "metadata": {"a": 1, "b": None},
        "assistant_metadata": {"a": 0, "team": "x"},
        "user": {"identity": "ann"},
        "changed_by": [{"identity": "bo"}],
        "multitask_strategy": "rollback",
        "priority": "high",
        "groups": [("few", 2)],
        "retain_s": 60,
        "options": {"webhook": "https://example.org/hook"},
    },
    "delayed": {"after_s": 60},
    "ids in the metadata": {"metadata": {"graph_id": "another", "assistant_id": "another"}},
}


@pytest.mark.parametrize("fields", SPECS.values(), ids=SPECS)
async def test_the_creation_of_a_run_returns_the_stored_record(stores: Stores, fields: dict[str, Any]) -> None:
    thread_id = (await stores.threads.create_or_get(new_id(), {"a": 2, "tenant": "t"}))[0].thread_id
    first, second = [await stores.create(new_run(thread_id, **fields)) for _ in range(2)]
    own_thread = new_run(first.run_id, create_thread=True, **fields)
    third = await stores.create(own_thread)
    for run in (second, third):
        assert run == await stores.reload(run)
    assert second.metadata["tenant"] == "t"
    assert second.metadata["a"] == fields.get("metadata", {}).get("a", 2)
    assert "tenant" not in third.metadata
    assert second.metadata["graph_id"] == "steps"


async def test_the_creation_of_an_inline_run_returns_the_stored_record(stores: Stores) -> None:
    spec = new_run(await stores.create_thread(), inline=True, metadata={"a": 1})
    run = (await stores.creator.create(spec, inline_worker="web")).run
    assert run.phase is Phase.RUNNING
    assert run == await stores.reload(run)


async def test_the_record_of_a_small_run_is_a_listpack_from_its_creation_to_its_end(
    stores: Stores, graphs: Registry
) -> None:
    """Redis stores a hash in half the bytes if no value has more than 64. It never converts a hash back."""
    options = {"input": {"value": 0, "until": 2}}
    run = await stores.create_run(graph_id="loop", options=options, ceilings={"max_state_bytes": 2**26})
    assert await _encoding(stores, run) == b"listpack"
    ended = await execute_next(stores, graphs)
    assert (ended.run_id, ended.phase, ended.usage["node_visits"]) == (run.run_id, Phase.COMPLETED, {"turn": 2})
    assert await _encoding(stores, run) == b"listpack"


async def _encoding(stores: Stores, run: Run) -> Any:
    return await stores.pipeline.send("OBJECT", "ENCODING", stores.keys.run(run.run_id), repeatable=True)


async def test_a_run_with_thousands_of_metadata_members_is_stored(stores: Stores) -> None:
    metadata = {f"member-{number}": number for number in range(MANY_MEMBERS)}
    spec = new_run((await stores.create_run()).run_id, create_thread=True, metadata=metadata)
    run = await stores.create(spec)
    assert metadata.items() <= run.metadata.items()
    assert run == await stores.reload(run)
    assert metadata.items() <= (await stores.thread_of(run)).metadata.items()


@pytest.mark.one_shard("the records of an earlier release have no tag")
async def test_records_of_an_earlier_release_are_read_and_executed(stores: Stores) -> None:
    """It stored fields that have default values now, and no other release reads them."""
    run = await stores.create_run(priority="normal")
    earlier: dict[str, str | int] = {
        "uncounted_attempts": 0,
        "chain_id": run.run_id,
        "usage": "{}",
        "due_ms": 5,
        "continues": 0,
        "ceilings": dumps(run.ceilings).decode(),
    }
    earlier |= {"max_attempts": 3, "multitask_strategy": "enqueue", "priority_ms": PRIORITY_MS["normal"]}
    earlier |= {"m:graph_id": '"steps"', "m:assistant_id": f'"{run.assistant_id}"'}
    words: list[str | int] = [word for field in earlier.items() for word in field]
    await stores.pipeline.send("HSET", stores.keys.run(run.run_id), *words)
    assert await stores.reload(run) == run
    claimed = await stores.claim_one()
    await stores.reap()
    assert (await _again(stores)).attempt == claimed.attempt + 1


async def _again(stores: Stores) -> Run:
    record = await stores.queues[0].run_claim("w", 1, 1000)
    (fields,) = record.runs
    return run_from(fields)


@pytest.mark.one_queue
async def test_a_settled_crash_suspect_is_no_running_suspect(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    suspect = await stores.claim_one()
    assert await stores.pipeline.send("SISMEMBER", stores.shards.home.running_suspects, run.run_id)
    await stores.settle(suspect)
    assert not await stores.pipeline.send("SISMEMBER", stores.shards.home.running_suspects, run.run_id)
