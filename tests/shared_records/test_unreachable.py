"""The node of some shards does not reply: a change is decided, and its caller learns which shards get it later."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from slipway.clock import Clock
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecords
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import RolloutStore
from slipway.runs.record import Phase
from slipway.switches.record import Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.shared_records.conftest import all_records
from tests.shared_records.sharded_runs import ShardedRuns
from tests.two_servers import TwoServers, two_servers

GRAPH = Target(Kind.GRAPH, "steps")


@pytest.fixture
async def servers(pipeline: Pipeline, shards: Shards) -> AsyncIterator[TwoServers]:
    """The shards 6 and 7 are on a second server."""
    async with two_servers(pipeline, tuple(keys.prefix for keys in shards.threads[6:])) as servers:
        yield servers


async def test_a_change_does_not_wait_for_shards_that_do_not_reply(servers: TwoServers, shards: Shards) -> None:
    both = servers.both
    runs, switches = ShardedRuns.on(both, shards), SwitchStore(SwitchScripts(both, shards), Clock())

    async def find_versions(graph_id: str) -> GraphVersions:
        return GraphVersions(graph_id, ["1", "2"], default="1")

    async def is_needed(graph_id: str, name: str) -> bool:
        return True

    rollouts = RolloutStore(RolloutScripts(both, shards), Clock(), find_versions, is_needed, RolloutsSection())
    created = await runs.create_in_all()
    async with servers.second_suspended():
        began = time.monotonic()
        assert (await switches.switch_off(GRAPH, by="eve", reason="too many")).pending_shards == [6, 7]
        change = await rollouts.set_weights("steps", {"2": 1000}, by="ann", reason=None)
        assert change.warning is not None
        assert change.warning.endswith("shards 6, 7 could not be reached, and get the change when they can be")
        assert time.monotonic() - began < 10
        assert (await runs.queues[3].run_claim("w", 10, 60_000)).runs == []
        assert (await runs.phases(created[:6]))[3] is Phase.PAUSED
    assert await SharedRecords(both, shards).copy() == []
    assert set((await all_records(both, shards))["switches"]) == {b"graph:steps"}
    assert await runs.claim() == []
    assert set(await runs.phases(created)) == {Phase.PAUSED}
