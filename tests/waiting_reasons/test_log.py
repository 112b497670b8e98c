"""A line of the log says when a run begins to wait for what it cannot get by waiting."""

from __future__ import annotations

import pytest

from slipway.graphs.version_choice import VersionChoice
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.script_results import Released, StrandedRun
from slipway.runs.settlement import Release
from slipway.switches.record import EVERYTHING
from tests.runs.conftest import LEASE_MS, Stores
from tests.runs.test_switches import disable, enable
from tests.runs.versioned_workers import VersionedWorker, worker_of

pytestmark = pytest.mark.one_queue


async def stranded_by_a_claim(stores: Stores, worker: VersionedWorker) -> list[StrandedRun]:
    claimed = await stores.queues[0].run_claim(worker.name, 9, LEASE_MS, serves=worker.serves, group=worker.group)
    return list(claimed.stranded)


async def test_a_claim_names_the_runs_whose_version_nobody_serves_once(stores: Stores) -> None:
    worker = await worker_of(stores, "2")
    run = await stores.create_run(version=VersionChoice(explicit="1"))
    expected = [StrandedRun((await stores.reload(run)).logged, "version", "no live worker serves steps@1")]
    assert await stranded_by_a_claim(stores, worker) == expected
    assert await stranded_by_a_claim(stores, worker) == []


async def test_a_claim_names_no_run_that_another_worker_serves(stores: Stores) -> None:
    await worker_of(stores, "1")
    worker = await worker_of(stores, "2")
    await stores.create_run(version=VersionChoice(explicit="1"))
    assert await stranded_by_a_claim(stores, worker) == []


async def test_a_claim_names_the_runs_that_it_pauses(stores: Stores) -> None:
    worker = await worker_of(stores, "1")
    await disable(stores, EVERYTHING)
    run = await stores.create_run()
    (stranded,) = await stranded_by_a_claim(stores, worker)
    assert (stranded.run.log_fields(), stranded.waits_for) == (run.logged.log_fields(), "switch")
    assert stranded.reason.startswith("everything is switched off by eve")


STOPPED = Release(reason="stopped", usage="[1]", switch=EVERYTHING.key)
"""What an attempt asks for that stopped because everything is switched off."""


async def test_a_release_says_before_which_switch_the_run_is_paused(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    await disable(stores, EVERYTHING)
    released = await stores.attempt(run).release(STOPPED)
    assert released == Released("switch", "everything is switched off by eve: too many; to continue: slipway unpause")
    assert await stranded_by_a_claim(stores, await worker_of(stores, "1")) == [], "one wait has one line"


async def test_a_release_says_that_the_run_is_queued_because_the_switch_is_on_again(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    await disable(stores, EVERYTHING)
    await enable(stores, EVERYTHING)
    assert await stores.attempt(run).release(STOPPED) == Released()


async def test_a_release_says_that_an_operator_has_paused_the_run_although_a_switch_is_off(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    await disable(stores, EVERYTHING)
    await stores.scripts.run_pause(run.run_id, OperatorPause("ann", "2026-01-01T00:00:00+00:00", "wrong customer"))
    assert await stores.attempt(run).release(STOPPED) == Released("operator", "paused by ann: wrong customer")


async def test_the_reaper_names_the_thread_and_the_graph_of_a_run(stores: Stores) -> None:
    await stores.create_run()
    run = await stores.claim_one()
    (reclaimed,) = (await stores.queues[0].run_reap(event_ttl_s=60, pause_ms=0, worker=run.worker)).runs
    assert reclaimed.run == run.logged
