"""What the scripts of switches change: claims, releases, and the runs that paused."""

from __future__ import annotations

import pytest

from slipway.clock import Clock
from slipway.errors import Conflict
from slipway.health.doctor import Doctor
from slipway.redis.hash_fields import fields_of
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import Phase, Run
from slipway.runs.settlement import Release
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.runs.conftest import Stores
from tests.runs.test_pauses import actions_of, pause, problems, resume

GRAPH = Target(Kind.GRAPH, "steps")
NODE = Target(Kind.NODE, "pay", "steps")
TARGETS = (GRAPH, NODE, EVERYTHING, Target(Kind.TOOL, "send mail: now"))


def switches_of(stores: Stores) -> SwitchStore:
    return SwitchStore(SwitchScripts(stores.pipeline, stores.shards), Clock())


async def disable(stores: Stores, target: Target) -> None:
    await switches_of(stores).switch_off(target, by="eve", reason="too many")


async def enable(stores: Stores, target: Target) -> None:
    await switches_of(stores).switch_on(target, by="bo")


async def stop_at(stores: Stores, run: Run, target: Target) -> None:
    """Releases a claimed run as its attempt does when it stops before the target."""
    await stores.attempt(run).release(Release(reason="stopped", usage="[1]", switch=target.key))


@pytest.mark.parametrize("target", TARGETS, ids=str)
async def test_switches_are_listed_with_who_and_why(stores: Stores, target: Target) -> None:
    switches = switches_of(stores)
    first = await switches.switch_off(target, by="eve", reason="too many")
    assert first.changed
    again = await switches.switch_off(target, by="bo", reason="another")
    assert (again.changed, again.switch) == (False, first.switch)
    assert (await switches.all()).all() == [first.switch]
    assert first.switch.target == target
    assert (await switches.switch_on(target, by="bo")).changed
    assert not (await switches.switch_on(target, by="bo")).changed
    assert (await switches.all()).all() == []


@pytest.mark.parametrize("target", [GRAPH, EVERYTHING], ids=str)
async def test_a_queued_run_of_a_graph_that_is_off_is_paused_by_the_claim(stores: Stores, target: Target) -> None:
    thread_id = await stores.create_thread()
    runs = [await stores.create_run(thread_id), await stores.create_run(), await stores.create_run(thread_id)]
    other = await stores.create_run(graph_id="chat")
    await disable(stores, target)
    claimed = [run.run_id for run in await stores.claim()]
    assert claimed == ([] if target is EVERYTHING else [other.run_id])
    paused = [await stores.reload(run) for run in runs[:2]]
    assert {run.phase for run in paused} == {Phase.PAUSED}
    assert {run.switch for run in paused} == {target.key}
    command = "slipway unpause" if target is EVERYTHING else "slipway graph enable steps"
    assert paused[0].reason == f"{target} is switched off by eve: too many; to continue: {command}"
    assert await stores.phase_of(runs[2]) is Phase.QUEUED, "it waits behind the first"
    assert await problems(stores) == []
    await enable(stores, target)
    expected = {run.run_id for run in runs[:2]} | ({other.run_id} if target is EVERYTHING else set())
    assert {run.run_id for run in await stores.claim()} == expected
    assert await actions_of(stores, runs[0]) == ["run.paused", "switch.enabled"]
    assert await stores.event_names(runs[0]) == ["metadata", "notice", "notice"]


@pytest.mark.parametrize("target", TARGETS, ids=str)
async def test_a_run_that_stops_before_a_switch_pauses_and_continues_once(stores: Stores, target: Target) -> None:
    run = await stores.create_run()
    claimed = await stores.claim_one()
    await disable(stores, target)
    await stop_at(stores, claimed, target)
    paused = await stores.reload(run)
    assert (paused.phase, paused.switch, paused.usage["steps"]) == (Phase.PAUSED, target.key, 1)
    assert await stores.claim() == []
    with pytest.raises(Conflict, match="to continue: slipway"):
        await resume(stores, run)
    await enable(stores, target)
    await enable(stores, target)
    assert await switches_of(stores).resume_runs() == 0
    assert (await stores.claim_one()).attempt == 2
    assert (await stores.reload(run)).switch is None


async def test_a_run_that_stops_before_a_switch_that_is_on_again_is_queued(stores: Stores) -> None:
    """The switch was switched on before the attempt released its run."""
    run = await stores.create_run()
    claimed = await stores.claim_one()
    await stop_at(stores, claimed, NODE)
    assert (await stores.claim_one()).run_id == run.run_id


@pytest.mark.one_queue
async def test_runs_are_queued_after_the_process_that_switches_on_has_died(stores: Stores) -> None:
    runs = [await stores.create_run() for _ in range(5)]
    await disable(stores, GRAPH)
    await stores.claim()
    scripts = SwitchScripts(stores.pipeline, stores.shards)
    await scripts.switch_on(GRAPH, by="bo")  # and the process dies
    assert await problems(stores) == [], "they will be queued"
    first = await scripts.resume_runs(2)
    assert (first.count, first.more) == (2, True)
    assert await switches_of(stores).resume_runs() == 3
    assert {run.run_id for run in await stores.claim()} == {run.run_id for run in runs}
    assert not [name for name in await stores.dump() if ":switches" in name]


async def test_switching_off_again_ends_a_resumption(stores: Stores) -> None:
    runs = [await stores.create_run() for _ in range(3)]
    await disable(stores, GRAPH)
    await stores.claim()
    scripts = SwitchScripts(stores.pipeline, stores.shards)
    await scripts.switch_on(GRAPH, by="bo")
    await scripts.resume_runs(1)
    await disable(stores, GRAPH)
    assert await switches_of(stores).resume_runs() == 0
    assert await stores.claim() == []
    assert {await stores.phase_of(run) for run in runs} == {Phase.PAUSED}


async def test_a_run_that_an_operator_pauses_too_stays_paused(stores: Stores) -> None:
    run = await stores.create_run()
    await disable(stores, GRAPH)
    await stores.claim()
    assert (await pause(stores, run)).changed
    await enable(stores, GRAPH)
    paused = await stores.reload(run)
    assert (paused.phase, paused.switch) == (Phase.PAUSED, None)
    assert paused.reason == "paused by eve: too many refunds"
    await resume(stores, run)
    assert (await stores.claim_one()).run_id == run.run_id


async def test_an_operator_can_resume_before_the_switch_is_on(stores: Stores) -> None:
    run = await stores.create_run()
    await disable(stores, GRAPH)
    await stores.claim()
    await pause(stores, run)
    assert (await resume(stores, run)).run.phase is Phase.PAUSED
    await enable(stores, GRAPH)
    assert (await stores.claim_one()).run_id == run.run_id


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("ends", ["cancel", "delete", "delete its thread"])
async def test_a_run_that_is_paused_before_a_switch_can_end(stores: Stores, ends: str, started: bool) -> None:
    run = await stores.create_run()
    if started:
        claimed = await stores.claim_one()
        await disable(stores, GRAPH)
        await stop_at(stores, claimed, GRAPH)
    else:
        await disable(stores, GRAPH)
        await stores.claim()
    assert await stores.phase_of(run) is Phase.PAUSED
    if ends == "cancel":
        await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
        if started:  # also while the graph is off
            await stores.settle(await stores.claim_one(), Phase.CANCELLED)
        assert await stores.phase_of(run) is Phase.CANCELLED
    elif ends == "delete":
        await stores.runs.delete(run.thread_id, run.run_id)
    else:
        await stores.threads.delete(run.thread_id)
    for keys in stores.shards.threads:
        assert await stores.pipeline.send("EXISTS", keys.switch_runs(GRAPH.key)) == 0
    await enable(stores, GRAPH)
    assert await stores.claim() == []
    assert await problems(stores) == []


async def test_a_switch_off_run_takes_no_slot_of_its_group(stores: Stores) -> None:
    off = await stores.create_run(groups=[("one", 1)])
    other = await stores.create_run(groups=[("one", 1)], graph_id="chat")
    await disable(stores, GRAPH)
    assert (await stores.claim_one()).run_id == other.run_id
    assert await stores.phase_of(off) is Phase.PAUSED


@pytest.mark.one_queue
async def test_a_run_paused_by_a_claim_leaves_the_slot_of_its_group_to_a_parked_run(stores: Stores) -> None:
    running, off, other = [
        await stores.create_run(groups=[("one", 1)], graph_id=graph_id) for graph_id in ("chat", "steps", "chat")
    ]
    claimed = await stores.claim_one()
    assert claimed.run_id == running.run_id
    assert [(await stores.reload(run)).reason for run in (off, other)] == ["limit of one"] * 2
    await disable(stores, GRAPH)
    await stores.settle(claimed)  # offers the slot to the run of the graph that is off
    assert (await stores.claim_one()).run_id == other.run_id
    assert await stores.phase_of(off) is Phase.PAUSED


async def test_the_stored_switch_has_what_scripts_copy(stores: Stores) -> None:
    await disable(stores, NODE)
    stored = fields_of(await stores.pipeline.send("HGETALL", stores.shards.home.switches))
    assert list(stored) == ["node:steps:pay"]
    assert b"slipway node enable steps pay" in stored["node:steps:pay"]


async def test_the_doctor_queues_a_run_that_nothing_pauses(stores: Stores) -> None:
    run = await stores.create_run()
    await disable(stores, GRAPH)
    await stores.claim()
    await stores.pipeline.send("HDEL", stores.shards.of_run(run.run_id).switches, GRAPH.key)
    assert [getattr(each, "name", "") for each in await problems(stores)] == ["paused_by_nothing"]
    await Doctor(stores.pipeline, stores.shards, lease_ms=1000, repair=True).check_all()
    assert (await stores.claim_one()).run_id == run.run_id
