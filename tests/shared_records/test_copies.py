"""A change of a shared record is decided once and reaches all shards, whatever happens in between."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from slipway.clock import Clock
from slipway.graph_versions.scripts import VersionScripts
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.redis.shared_record_scripts import SharedRecordScripts
from slipway.redis.shared_records import SharedRecords
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import RolloutStore
from slipway.switches.record import EVERYTHING, Kind, Switch, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from tests.shared_records.conftest import all_records, names_in, records_in, version

GRAPH = Target(Kind.GRAPH, "steps")
TARGETS = (GRAPH, EVERYTHING, Target(Kind.NODE, "pay", "steps"), Target(Kind.TOOL, "send mail: now"))


def switch_store(pipeline: Pipeline, shards: Shards) -> SwitchStore:
    return SwitchStore(SwitchScripts(pipeline, shards), Clock())


def endpoint_store(pipeline: Pipeline, shards: Shards) -> EndpointStore:
    return EndpointStore(EndpointScripts(pipeline, shards), Clock(), lambda url: None, ["steps"])


def rollout_store(pipeline: Pipeline, shards: Shards) -> RolloutStore:
    async def find_versions(graph_id: str) -> GraphVersions:
        return GraphVersions(graph_id, ["1", "2"], default="1")

    async def is_needed(graph_id: str, name: str) -> bool:
        return True

    return RolloutStore(RolloutScripts(pipeline, shards), Clock(), find_versions, is_needed, RolloutsSection())


class WithoutCopies(SwitchScripts):
    """The process that decides dies before it has copied anything."""

    async def _copy(self) -> tuple[int, ...]:
        return ()


async def decide_only(pipeline: Pipeline, shards: Shards, target: Target = GRAPH) -> None:
    """Switches off in the first shard, and dies."""
    await WithoutCopies(pipeline, shards).switch_off(Switch(target, "eve", "2026-01-01T00:00:00+00:00"))


async def test_every_kind_of_change_reaches_all_shards(pipeline: Pipeline, shards: Shards) -> None:
    switches, rollouts = switch_store(pipeline, shards), rollout_store(pipeline, shards)
    endpoints, versions = endpoint_store(pipeline, shards), VersionScripts(pipeline, shards)
    await switches.switch_off(GRAPH, by="eve", reason="too many")
    await rollouts.set_weights("steps", {"2": 1000}, by="ann", reason=None)
    await versions.register([version("1"), version("2")], builds={"build-1": b"{}"})
    change = EndpointChange(url="https://hooks.example.com/", types=["run.*", "review.*"], owner="ann")
    made = (await endpoints.add(change, by="ann")).endpoint
    found = await all_records(pipeline, shards)
    assert set(found["switches"]) == {b"graph:steps"}
    assert set(found["rollouts"]) == {b"steps"}
    assert set(found["versions"]) == {b"steps@1", b"steps@2"}
    assert found[f":webhook_endpoint:{made.endpoint_id}"][b"url"] == b"https://hooks.example.com/"
    assert {*found["subscriptions"]} == {b'run.*\n"ann"\n', b'review.*\n"ann"\n'}

    await switches.switch_on(GRAPH, by="bo")
    await rollouts.roll_back("steps", by="ann", reason=None)
    await rollouts.clear("steps", by="ann", reason=None)
    await endpoints.update(made.endpoint_id, EndpointChange(types=["run.*"], all_owners=True), by="ann")
    found = await all_records(pipeline, shards)
    assert (found["switches"], found["rollouts"]) == ({}, {})
    assert {*found["subscriptions"]} == {b"run.*\n\n"}
    await endpoints.remove(made.endpoint_id, by="ann")
    assert (await all_records(pipeline, shards))["subscriptions"] == {}
    assert [await names_in(pipeline, keys, ":webhook_endpoint:*") for keys in shards.threads] == [[]] * 8


async def test_copies_are_completed_after_the_process_that_decides_has_died(pipeline: Pipeline, shards: Shards) -> None:
    await decide_only(pipeline, shards)
    assert (await records_in(pipeline, shards.threads[5]))["switches"] == {}
    assert await SharedRecords(pipeline, shards).copy() == []
    assert set((await all_records(pipeline, shards))["switches"]) == {b"graph:steps"}


async def test_a_copy_is_never_replaced_by_an_older_one(pipeline: Pipeline, shards: Shards) -> None:
    """A process is suspended between reading a change and copying it, and another change overtakes it."""
    await decide_only(pipeline, shards)
    first, other = SharedRecordScripts(pipeline, shards.home), SharedRecordScripts(pipeline, shards.threads[3])
    late = await first.read([0])
    assert late is not None
    await switch_store(pipeline, shards).switch_on(GRAPH, by="bo")
    await decide_only(pipeline, shards, EVERYTHING)
    assert await other.replace(late) == 0
    assert (await records_in(pipeline, shards.threads[3]))["switches"] == {}
    await SharedRecords(pipeline, shards).copy()
    assert set((await all_records(pipeline, shards))["switches"]) == {b"all"}
    assert await other.replace(late) == 0


@pytest.mark.parametrize("seed", range(5))
async def test_changes_at_the_same_time_end_with_the_same_records(
    pipeline: Pipeline, shards: Shards, seed: int
) -> None:
    rng = random.Random(seed)
    switches, endpoints = switch_store(pipeline, shards), endpoint_store(pipeline, shards)
    made = (await endpoints.add(EndpointChange(url="https://h.example.com/", types=["run.*"]), by="ann")).endpoint

    async def change(number: int) -> None:
        target = rng.choice(TARGETS)
        match rng.randrange(5):
            case 0:
                await switches.switch_off(target, by=f"op-{number}", reason=None)
            case 1:
                await switches.switch_on(target, by=f"op-{number}")
            case 2:
                await VersionScripts(pipeline, shards).register([version(str(number))])
            case 3:
                types = rng.sample(["run.*", "review.*", "run.failed", "*"], 2)
                await endpoints.update(made.endpoint_id, EndpointChange(types=types), by="ann")
            case _:
                await decide_only(pipeline, shards, target)

    await asyncio.gather(*map(change, range(40)))
    await SharedRecords(pipeline, shards).copy()
    await all_records(pipeline, shards)


async def test_a_shard_that_lost_its_copies_gets_them_again(pipeline: Pipeline, shards: Shards) -> None:
    await switch_store(pipeline, shards).switch_off(GRAPH, by="eve", reason=None)
    await VersionScripts(pipeline, shards).register([version("1")])
    lost = await names_in(pipeline, shards.threads[4])
    await pipeline.send("DEL", *lost)
    assert await SharedRecords(pipeline, shards).copy() == []
    assert set((await all_records(pipeline, shards))["versions"]) == {b"steps@1"}


@pytest.mark.parametrize("changes_afterwards", [False, True])
async def test_a_first_shard_that_lost_its_last_changes_decides(
    pipeline: Pipeline, shards: Shards, changes_afterwards: bool
) -> None:
    """The replica that is promoted does not have the last writes of the first shard."""
    switches, endpoints = switch_store(pipeline, shards), endpoint_store(pipeline, shards)
    await switches.switch_off(GRAPH, by="eve", reason=None)
    names = await names_in(pipeline, shards.home)
    kept = [(name, await pipeline.send("DUMP", name)) for name in names]
    await switches.switch_on(GRAPH, by="bo")
    await switches.switch_off(EVERYTHING, by="eve", reason=None)
    await endpoints.add(EndpointChange(url="https://h.example.com/", types=["run.*"]), by="ann")
    await VersionScripts(pipeline, shards).register([version("1")])
    await pipeline.send("DEL", *await names_in(pipeline, shards.home))
    for name, dump in kept:
        await pipeline.send("RESTORE", name, 0, dump)

    if changes_afterwards:
        await switches.switch_off(TARGETS[2], by="eve", reason=None)
    else:
        assert await SharedRecords(pipeline, shards).copy() == []
    found = await all_records(pipeline, shards)
    assert set(found["switches"]) == {b"graph:steps"} | ({b"node:steps:pay"} if changes_afterwards else set())
    assert (found["versions"], found["subscriptions"]) == ({}, {})
    assert [await names_in(pipeline, keys, ":webhook_endpoint:*") for keys in shards.threads] == [[]] * 8


async def test_many_records_are_copied_in_pages(pipeline: Pipeline, shards: Shards) -> None:
    versions = VersionScripts(pipeline, shards)
    for first in range(0, 600, 30):
        await versions.register([version(f"{number}") for number in range(first, first + 30)])
    for keys in shards.threads[1:3]:
        await pipeline.send("DEL", *await names_in(pipeline, keys))
    assert await SharedRecords(pipeline, shards).copy() == []
    assert len((await all_records(pipeline, shards))["versions"]) == 600


async def test_one_shard_has_no_copies_and_sends_nothing_for_them(pipeline: Pipeline, shards: Shards) -> None:
    if os.environ.get("SLIPWAY_TEST_CLUSTER") == "1":
        pytest.skip("a cluster has several shards")
    one = Shards(shards.prefix)
    before = pipeline.round_trips
    await SwitchScripts(pipeline, one).switch_off(Switch(GRAPH, "eve", "2026-01-01T00:00:00+00:00"))
    assert await SharedRecords(pipeline, one).copy() == ()
    assert pipeline.round_trips - before <= 2, "one call, and its source if the server has not seen it"
    assert await names_in(pipeline, one.home, ":shared:*") == []
