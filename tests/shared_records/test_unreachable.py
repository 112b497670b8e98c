"""The node of some shards does not reply: a change is decided, and its caller learns which shards get it later."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from slipway.clock import Clock
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.redis.connect import pipeline_to
from slipway.redis.connection import Address, Arg
from slipway.redis.pipeline import Pipeline
from slipway.redis.script import Script
from slipway.redis.shards import Shards
from slipway.redis.shared_records import SharedRecords
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import RolloutStore
from slipway.runs.record import Phase
from slipway.switches.record import Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.embedded_valkey import embedded_valkey
from tests.shared_records.conftest import all_records
from tests.shared_records.sharded_runs import ShardedRuns

GRAPH = Target(Kind.GRAPH, "steps")


@dataclass(frozen=True, slots=True)
class TwoServers:
    """The shards 6 and 7 are on a second server, as the slots of a cluster are on several."""

    first: Pipeline
    second: Pipeline
    shards: Shards

    @property
    def servers(self) -> Mapping[str, Pipeline]:
        return {"first": self.first, "second": self.second}

    def send(self, *args: Arg, repeatable: bool = False, at: str | None = None) -> asyncio.Future[Any]:
        return self._of(at or str(args[1])).send(*args, repeatable=repeatable, at=at)

    def run(
        self, script: Script, keys: Sequence[str], args: Sequence[Arg], *, may_be_overtaken: bool = False
    ) -> asyncio.Future[Any]:
        return self._of(str(args[0])).run(script, keys, args, may_be_overtaken=may_be_overtaken)

    def _of(self, name: str) -> Pipeline:
        others = tuple(keys.prefix for keys in self.shards.threads[6:])
        return self.second if name.startswith(others) else self.first


@pytest.fixture
def second_url() -> Iterator[str]:
    """A second Valkey."""
    with embedded_valkey() as url:
        yield url


@pytest.fixture
async def servers(pipeline: Pipeline, second_url: str, shards: Shards) -> AsyncIterator[TwoServers]:
    """Both servers."""
    second = pipeline_to(Address(second_url), "test", patience_s=30)
    await second.open()
    try:
        yield TwoServers(pipeline, second, shards)
    finally:
        await second.close()


async def test_a_change_does_not_wait_for_shards_that_do_not_reply(servers: TwoServers, shards: Shards) -> None:
    both = cast(Pipeline, servers)
    runs, switches = ShardedRuns.on(both, shards), SwitchStore(SwitchScripts(both, shards), Clock())

    async def find_versions(graph_id: str) -> GraphVersions:
        return GraphVersions(graph_id, ["1", "2"], default="1")

    async def is_needed(graph_id: str, name: str) -> bool:
        return True

    rollouts = RolloutStore(RolloutScripts(both, shards), Clock(), find_versions, is_needed, RolloutsSection())
    created = await runs.create_in_all()
    server = int((await servers.second.send("INFO", "server")).split(b"process_id:")[1].split()[0])
    os.kill(server, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert (await switches.switch_off(GRAPH, by="eve", reason="too many")).pending_shards == [6, 7]
        change = await rollouts.set_weights("steps", {"2": 1000}, by="ann", reason=None)
        assert change.warning is not None
        assert change.warning.endswith("shards 6, 7 could not be reached, and get the change when they can be")
        assert time.monotonic() - began < 10
        assert (await runs.queues[3].run_claim("w", 10, 60_000)).runs == []
        assert (await runs.phases(created[:6]))[3] is Phase.PAUSED
    finally:
        os.kill(server, signal.SIGCONT)
    assert await SharedRecords(both, shards).copy() == []
    assert set((await all_records(both, shards))["switches"]) == {b"graph:steps"}
    assert await runs.claim() == []
    assert set(await runs.phases(created)) == {Phase.PAUSED}
