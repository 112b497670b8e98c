"""What a change of a shared record entails happens in every shard: runs pause, are counted, create events."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
import ormsgpack
import pytest

from slipway.clock import Clock
from slipway.crons.due_time_scripts import DueTimeScripts, ToldProblem
from slipway.graph_versions.scripts import VersionScripts
from slipway.graphs.rollouts_section import RolloutsSection
from slipway.graphs.version_choice import VersionChoice
from slipway.redis.pipeline import Pipeline
from slipway.redis.shards import Shards
from slipway.rollouts.changes import GraphVersions
from slipway.rollouts.guard_rounds import RolloutGuard
from slipway.rollouts.record import Action
from slipway.rollouts.scripts import RolloutScripts
from slipway.rollouts.store import Announcements, RolloutStore
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.scripts import DueTime
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from slipway.webhook_endpoints.record import Endpoint, State
from slipway.webhook_endpoints.scripts import EndpointScripts
from slipway.webhook_endpoints.store import EndpointChange, EndpointStore
from slipway.webhooks.scripts import (
    Delivered,
    DeliveryScripts,
    GivenUp,
    TargetHealth,
    TriedAgain,
)
from slipway.webhooks.target_scripts import ClaimedDelivery
from tests.shared_records.conftest import SHARDS, all_records, version
from tests.shared_records.sharded_runs import ShardedRuns
from tests.webhooks.delivery_scripts import LIMITS, settled


@pytest.fixture
def runs(pipeline: Pipeline, shards: Shards) -> ShardedRuns:
    """Runs in every shard."""
    return ShardedRuns.on(pipeline, shards)


@pytest.mark.parametrize("target", [Target(Kind.GRAPH, "steps"), EVERYTHING], ids=str)
async def test_a_switch_pauses_and_resumes_the_runs_of_every_shard(runs: ShardedRuns, target: Target) -> None:
    switches = SwitchStore(SwitchScripts(runs.pipeline, runs.shards), Clock())
    created = await runs.create_in_all()
    assert (await switches.switch_off(target, by="eve", reason="too many")).pending_shards == []
    assert await runs.claim() == []
    assert await runs.phases(created) == [Phase.PAUSED] * SHARDS
    assert (await switches.switch_on(target, by="bo")).changed
    claimed = await runs.claim()
    assert [run.run_id for run in claimed] == [run.run_id for run in created]
    await all_records(runs.pipeline, runs.shards)


async def test_switching_off_again_ends_the_resumption_in_every_shard(runs: ShardedRuns) -> None:
    switches = SwitchStore(SwitchScripts(runs.pipeline, runs.shards), Clock())
    created = await runs.create_in_all()
    await switches.switch_off(EVERYTHING, by="eve", reason=None)
    await runs.claim()
    await SwitchScripts(runs.pipeline, runs.shards).switch_on(EVERYTHING, by="bo")  # and the process dies
    await switches.switch_off(EVERYTHING, by="eve", reason=None)
    assert await switches.resume_runs() == 0
    assert await runs.phases(created) == [Phase.PAUSED] * SHARDS


def rollouts_of(runs: ShardedRuns, hook: Announcements | None = None) -> RolloutStore:
    async def find_versions(graph_id: str) -> GraphVersions:
        return GraphVersions(graph_id, ["1", "2"], default="1")

    async def is_needed(graph_id: str, name: str) -> bool:
        return True

    scripts, rules = RolloutScripts(runs.pipeline, runs.shards), RolloutsSection(min_runs=10)
    return RolloutStore(scripts, Clock(), find_versions, is_needed, rules, hook)


async def run_versions(runs: ShardedRuns, name: str, phase: Phase, times: int) -> None:
    """Ends runs of a version in each shard, on new threads."""
    choice = VersionChoice(new=name, current="1", ramping="2", rolled_out=True)
    members = {"versions": {each: (f"schema-{each}", f"build-{each}") for each in ("1", "2")}, "default": "1"}
    serves = ormsgpack.packb({"steps": members})
    rollout = (await rollouts_of(runs).all()).get("steps")
    ramp = None if rollout is None else rollout.ramp
    for _ in range(times):
        await runs.create_in_all(version=choice)
        for run in await runs.claim(serves=serves, group="g"):
            await runs.settle(run, phase, ramp)


async def test_a_ramp_counts_the_runs_of_all_shards_and_is_rolled_back_by_them(runs: ShardedRuns) -> None:
    store, versions = rollouts_of(runs), VersionScripts(runs.pipeline, runs.shards)
    await versions.register([version("1"), version("2")])
    await store.set_weights("steps", {"2": 5000}, by="ann", reason=None)
    await run_versions(runs, "1", Phase.COMPLETED, 5)
    await run_versions(runs, "2", Phase.FAILED, 5)
    counts = await store.counts("steps")
    new, old = counts.of("2"), counts.of("1")
    assert (new.threads, new.failed, new.succeeded) == (40, 40, 0)
    assert (old.threads, old.failed, old.succeeded) == (40, 0, 40)

    guard = RolloutGuard(RolloutScripts(runs.pipeline, runs.shards), store)
    assert await guard.look(await store.get("steps")), "no shard alone has enough runs"
    rollout = await store.get("steps")
    assert (rollout.current, rollout.ramp, rollout.by) == ("1", None, "slipway")
    assert [entry.action for entry in await store.history("steps")] == [Action.ROLLED_BACK, Action.SET]
    last = (await store.status("steps")).last
    assert last is not None
    assert (last.counts.of("2").failed, last.counts.of("1").succeeded) == (40, 40)
    await all_records(runs.pipeline, runs.shards)

    await store.set_weights("steps", {"2": 100}, by="ann", reason=None)
    assert (await store.counts("steps")).threads == 0, "a ramp begins without the counts of an earlier one"
    assert await RolloutScripts(runs.pipeline, runs.shards).last_ramp("steps") is None


async def test_versions_are_known_in_every_shard(runs: ShardedRuns) -> None:
    """A claim in any shard knows which version is newer: a thread of version 1 moves to version 2."""
    versions = VersionScripts(runs.pipeline, runs.shards)
    await versions.register([version("1")])
    await run_versions(runs, "1", Phase.COMPLETED, 1)
    await versions.register([version("1"), version("2")])
    known = await versions.read()
    assert [each.number for each in known.of_graph("steps")] == [1, 2]
    found = await all_records(runs.pipeline, runs.shards)
    assert orjson.loads(found["versions"][b"steps@2"])["number"] == 2


async def test_the_lanes_of_all_shards_are_one_list(runs: ShardedRuns) -> None:
    await VersionScripts(runs.pipeline, runs.shards).register([version("1"), version("2")])
    await runs.create_in_all(version=VersionChoice(explicit="2"))
    await runs.create(0, version=VersionChoice(explicit="1"))
    serves = ormsgpack.packb({"steps": {"versions": {"0": ("", "build-0")}, "default": "0"}})
    assert await runs.claim(serves=serves, group="g") == []
    lanes = {lane.version: lane.jobs for lane in (await VersionScripts(runs.pipeline, runs.shards).read()).lanes}
    assert lanes == {"1": 1, "2": SHARDS}


class Hooks:
    """Endpoints and their deliveries."""

    def __init__(self, runs: ShardedRuns) -> None:
        self.store = EndpointStore(EndpointScripts(runs.pipeline, runs.shards), Clock(), lambda url: None, ["steps"])
        self.deliveries = DeliveryScripts(runs.pipeline, runs.shards, LIMITS, look_every_ms=0)

    async def add(self, *types: str) -> Endpoint:
        change = EndpointChange(url="https://hooks.example.com/", types=types, concurrency=64)
        return (await self.store.add(change, by="ann")).endpoint

    async def claim(self, limit: int = 100) -> list[ClaimedDelivery]:
        return await self.deliveries.claim(("deliveries",), limit, 60_000)


def types_of(claimed: Sequence[ClaimedDelivery]) -> list[str]:
    return sorted(each.fields["type"].decode() for each in claimed)


async def test_endpoints_receive_the_events_of_runs_of_all_shards_once(runs: ShardedRuns) -> None:
    hooks = Hooks(runs)
    endpoint = await hooks.add("run.completed")
    for run in await _created_and_claimed(runs):
        await runs.settle(run)
    claimed = await hooks.claim()
    assert types_of(claimed) == ["run.completed"] * SHARDS
    assert len({each.delivery_id for each in claimed}) == SHARDS
    assert {each.endpoint["url"] for each in claimed} == {b"https://hooks.example.com/"}
    assert await hooks.claim() == []
    for each in claimed:
        number = runs.shards.number_of_run(each.fields["run_id"].decode())
        assert runs.shards.of_delivery(each.delivery_id) == runs.shards.threads[number]
        stored = await settled(hooks.deliveries, each.delivery_id, 1, Delivered(), TargetHealth(answered=True))
        assert stored.stored
    await hooks.store.remove(endpoint.endpoint_id, by="ann")
    await runs.create_in_all()
    assert await hooks.claim() == []


async def _created_and_claimed(runs: ShardedRuns) -> list[Run]:
    await runs.create_in_all()
    return await runs.claim()


async def test_what_waits_for_a_removed_endpoint_is_sent_in_no_shard(runs: ShardedRuns) -> None:
    hooks = Hooks(runs)
    endpoint = await hooks.add("run.queued")
    created = await runs.create_in_all()
    await hooks.store.remove(endpoint.endpoint_id, by="ann")
    assert await hooks.claim() == []
    for run in created:
        keys = runs.shards.of_run(run.run_id)
        (name,) = await runs.pipeline.send("ZRANGE", keys.deliveries_all, 0, -1)
        state, problem = await runs.pipeline.send("HMGET", keys.delivery(name.decode()), "delivery_state", "problem")
        assert (state, problem) == (b"dead", b"the endpoint was deleted")


async def test_few_free_slots_are_shared_by_all_shards(runs: ShardedRuns) -> None:
    hooks = Hooks(runs)
    await hooks.add("run.queued")
    for _ in range(3):
        await runs.create_in_all()
    found: list[str] = []
    while claimed := await hooks.claim(5):
        assert len(claimed) <= 5
        found += [each.delivery_id for each in claimed]
    assert len(set(found)) == len(found) == 3 * SHARDS
    for _ in range(20):
        await runs.create(3)
    assert len(await hooks.claim(16)) == 16, "one shard gets the slots that the others do not need"


async def test_an_endpoint_that_is_gone_in_one_shard_is_disabled_in_all(runs: ShardedRuns) -> None:
    hooks = Hooks(runs)
    endpoint, other = await hooks.add("run.queued"), await hooks.add("endpoint.disabled")
    await runs.create(5)
    (claimed,) = await hooks.claim()
    health = TargetHealth(answered=False, gone=True)
    result = await settled(hooks.deliveries, claimed.delivery_id, 1, GivenUp("HTTP 410"), health)
    assert result.disabled == "it responded 410 Gone"
    stored = await hooks.store.get(endpoint.endpoint_id)
    assert (stored.state, stored.disabled_reason) == (State.DISABLED, "it responded 410 Gone")
    found = await all_records(runs.pipeline, runs.shards)
    assert {*found["subscriptions"]} == {b"endpoint.disabled\n\n"}
    assert types_of(await hooks.claim()) == ["endpoint.disabled"]
    assert other.endpoint_id != endpoint.endpoint_id


async def test_enabling_forgets_the_failures_of_all_shards(runs: ShardedRuns) -> None:
    hooks = Hooks(runs)
    endpoint = await hooks.add("run.queued")
    await runs.create(2)
    await runs.create(6)
    for each in await hooks.claim():
        await settled(hooks.deliveries, each.delivery_id, 1, TriedAgain("HTTP 500", 1000), TargetHealth(answered=False))
    assert (await hooks.store.get(endpoint.endpoint_id)).failures == 2
    await hooks.store.update(endpoint.endpoint_id, EndpointChange(description="slow"), by="ann")
    assert (await hooks.store.get(endpoint.endpoint_id)).failures == 2, "another change keeps them"
    await hooks.store.enable(endpoint.endpoint_id, by="ann")
    assert (await hooks.store.get(endpoint.endpoint_id)).failures == 0
    await all_records(runs.pipeline, runs.shards)


async def test_a_delivery_about_no_run_is_found_by_its_id_in_the_shard_that_created_it(runs: ShardedRuns) -> None:
    """The problem of a cron is told in the shard of its runs."""
    hooks, scripts = Hooks(runs), DueTimeScripts(runs.pipeline, runs.shards)
    await hooks.add("cron.problem")
    cron_id = next(each for each in iter(new_id, "") if runs.shards.number_of_thread(each) == 5)
    due_time = DueTime(cron_id=cron_id, incarnation="1", due_ms=1_800_000_000_000, next_ms=None, thread_created_us=None)
    assert await scripts.tell_problem(due_time, ToldProblem("no worker", new_id(), "steps", None, None))
    (claimed,) = await hooks.claim()
    assert runs.shards.of_delivery(claimed.delivery_id) == runs.shards.threads[5]
    stored = await settled(hooks.deliveries, claimed.delivery_id, 1, Delivered(), TargetHealth(answered=True))
    assert stored.stored
    assert await runs.pipeline.send("ZCARD", runs.shards.threads[5].deliveries) == 0


async def test_a_test_event_and_an_announcement_are_deliveries_of_the_first_shard(runs: ShardedRuns) -> None:
    hooks, store = Hooks(runs), rollouts_of(runs, Announcements("https://ops.example.com/", "deliveries"))
    endpoint = await hooks.add("run.queued")
    await hooks.store.test(endpoint.endpoint_id, by="ann")
    await store.set_weights("steps", {"2": 100}, by="ann", reason=None)
    claimed = await hooks.claim()
    assert types_of(claimed) == ["endpoint.test", "rollout.changed"]
    assert {runs.shards.of_delivery(each.delivery_id) for each in claimed} == {runs.shards.home}
