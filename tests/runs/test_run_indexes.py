"""The indexes of runs across threads name exactly the stored runs, after any sequence of changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import pytest

from slipway.assistants.record import AssistantChanges
from slipway.assistants.search import AssistantQuery, AssistantSearch
from slipway.assistants.store import AssistantStore
from slipway.assistants.system import system_id
from slipway.health.layout_upgrades import UPGRADES
from slipway.redis.layout import LayoutRecord
from slipway.runs.index_terms import (
    UNFINISHED,
    assistant_term,
    error_term,
    other_assistants_term,
    owner_term,
)
from slipway.runs.record import Phase, Run, new_id
from tests.runs.conftest import LEASE_MS, Stores, new_run
from tests.runs.run_history import History, stored_runs
from tests.shards import shards_of

UNFINISHED_PHASES: Final = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.PAUSED})


def names_of(run: Run) -> set[str]:
    """The names of the sets that must have the run."""
    names = {UNFINISHED if run.phase in UNFINISHED_PHASES else run.phase.value, assistant_term(run.assistant_id)}
    if run.assistant_id != system_id(run.graph_id):
        names.add(other_assistants_term(run.graph_id))
    if run.user is not None:
        names.add(owner_term(run.user["identity"]))
    if run.phase is Phase.FAILED:
        assert run.reason is not None  # the code of the error
        names.add(error_term(run.reason))
    return names


async def stored_indexes(stores: Stores) -> dict[str, dict[str, int]]:
    """By name of the set: its members with their scores."""
    indexes: dict[str, dict[str, int]] = defaultdict(dict)
    for shard in stores.shards.threads:
        prefix = shard.runs_with("")
        for key in await stores.pipeline.send("KEYS", f"{prefix}*"):
            flat = await stores.pipeline.send("ZRANGE", key, 0, -1, "WITHSCORES")
            scores = {run_id.decode(): int(float(score)) for run_id, score in zip(flat[::2], flat[1::2], strict=True)}
            indexes[key.decode().removeprefix(prefix)] |= scores
    return dict(indexes)


def expected_indexes(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    indexes: dict[str, dict[str, int]] = defaultdict(dict)
    for run in runs:
        for name in names_of(run):
            indexes[name][run.run_id] = int(run.incarnation)
    return dict(indexes)


@pytest.mark.parametrize("seed", range(3))
async def test_the_indexes_name_the_stored_runs(stores: Stores, seed: int) -> None:
    history = History(stores, seed)
    phases: set[Phase] = set()
    for _ in range(40):
        await history.take_steps(15)
        runs = await stored_runs(stores)
        assert await stored_indexes(stores) == expected_indexes(runs)
        phases |= {run.phase for run in runs}
    assert phases == set(Phase)


async def test_a_run_without_attempts_left_is_indexed_by_its_error(stores: Stores) -> None:
    run = await stores.create_run(ceilings={"max_attempts": 1})
    await stores.claim_one()
    await stores.reap()
    assert (await stores.phase_of(run)) is Phase.FAILED
    assert await stored_indexes(stores) == expected_indexes(await stored_runs(stores))


async def test_no_index_names_a_retained_run(stores: Stores) -> None:
    """Its record expires, and no script would remove it then."""
    spec = new_run(new_id(), options={"temporary": True}, create_thread=True, own_thread=True, retain_s=60)
    await stores.create(spec)
    await stores.settle(await stores.claim_one(lease_ms=LEASE_MS))
    assert await stores.pipeline.send("PTTL", stores.keys.run(spec.identity.run_id)) > 0
    assert await stored_indexes(stores) == {}


@pytest.mark.one_shard("an earlier release has one shard")
async def test_the_upgrade_indexes_the_records_of_the_release_before(stores: Stores) -> None:
    await History(stores, 5).take_steps(120)
    changes = AssistantChanges(graph_id="steps", name="x", metadata={"team": "a"})
    assistants = AssistantStore(stores.pipeline, stores.shards.assistants)
    assistant = await assistants.create(new_id(), changes, token=new_id(), exist_ok=False)
    for name in await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:*"):
        key = name.decode()
        if any(part in key for part in (":runs:with:", ":assistants:with:", ":assistants:by:")):
            await stores.pipeline.send("DEL", key)
        elif stores.keys.id_in("run", key) is not None:
            await stores.pipeline.send("HDEL", key, "terms", "error_term")
    await stores.pipeline.send("HSET", stores.keys.layout, "required", 1, "version", 1, "release", "before")
    shown: set[str] = set()
    await LayoutRecord(stores.pipeline, shards_of(stores.keys)).check_or_upgrade(
        UPGRADES, lambda work, *_: shown.add(work)
    )
    assert await stored_indexes(stores) == expected_indexes(await stored_runs(stores))
    search = AssistantSearch(stores.pipeline, stores.shards.assistants, max_checks=1000)
    query = AssistantQuery(metadata={"team": "a"})
    found = await search.page(query, limit=1, offset=0, sort_by="name", descending=False)
    assert found.records == [assistant]
    assert "keys searched for assistants" in shown
