"""A line of the log says when a run begins to wait for what it cannot get by waiting."""

from __future__ import annotations

from slipway.graphs.version_choice import VersionChoice
from slipway.runs.script_results import StrandedRun
from slipway.switches.record import EVERYTHING
from tests.runs.conftest import LEASE_MS, Stores
from tests.runs.test_switches import disable
from tests.runs.versioned_workers import VersionedWorker, worker_of


async def stranded_by_a_claim(stores: Stores, worker: VersionedWorker) -> list[StrandedRun]:
    claimed = await stores.scripts.run_claim(worker.name, 9, LEASE_MS, serves=worker.serves, group=worker.group)
    return list(claimed.stranded)


async def test_a_claim_names_the_runs_whose_version_nobody_serves_once(stores: Stores) -> None:
    worker = await worker_of(stores, "2")
    run = await stores.create_run(version=VersionChoice(explicit="1"))
    expected = [StrandedRun(run.run_id, "version", "no live worker serves steps@1")]
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
    assert (stranded.run_id, stranded.waits_for) == (run.run_id, "switch")
    assert stranded.reason.startswith("everything is switched off by eve")
