"""What scripts count of runs whose workers died, that are repeated, or that were stored before this release."""

from __future__ import annotations

import pytest

from slipway.health.doctor import Doctor
from slipway.telemetry.table.run_metrics import (
    ATTEMPTS_ENDED,
    ATTEMPTS_STARTED,
    CEILINGS_REACHED,
    LEASES_EXPIRED,
    NEW_RUNS,
    QUEUE_DEPTH,
    RUN_RECOVERIES,
    RUNS_ENDED,
)
from tests.metrics.stored_figures import stored_figures, total
from tests.runs.conftest import LEASE_MS, Stores

pytestmark = pytest.mark.one_queue


async def test_a_run_that_every_worker_dies_with_ends_once(stores: Stores) -> None:
    await stores.create_run()
    claims = 0
    while await stores.claim():
        claims += 1
        await stores.reap()
    figures = await stored_figures(stores.pipeline, stores.keys)
    assert claims > 1
    assert total(figures.values(ATTEMPTS_STARTED)) == claims
    assert total(figures.values(ATTEMPTS_ENDED), "lost") == claims
    assert total(figures.values(ATTEMPTS_ENDED), "failed") == 0
    assert total(figures.values(RUN_RECOVERIES)) == claims - 1
    assert total(figures.values(RUNS_ENDED), "failed") == 1
    assert total(figures.values(CEILINGS_REACHED), "ceiling.attempts") == 1
    assert total(figures.values(LEASES_EXPIRED)) in (0, claims), "by the reaper, or by a supervisor"
    assert total(figures.values(QUEUE_DEPTH)) == 0


async def test_runs_of_an_earlier_release_are_added_by_the_doctor_without_a_finding(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.pipeline.send("HDEL", stores.keys.run(run.run_id), "queued_as")
    await stores.pipeline.send("DEL", stores.shards.home.queued_runs, stores.shards.home.pending_counts)
    assert total((await stored_figures(stores.pipeline, stores.keys)).values(QUEUE_DEPTH)) == 0
    assert await Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=True).check_all() == []
    assert total((await stored_figures(stores.pipeline, stores.keys)).values(QUEUE_DEPTH)) == 1


async def test_a_claim_of_a_run_of_an_earlier_release_is_counted(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.pipeline.send("HDEL", stores.keys.run(run.run_id), "queued_as")
    await stores.claim_one()
    assert total((await stored_figures(stores.pipeline, stores.keys)).values(ATTEMPTS_STARTED)) == 1


async def test_a_run_that_is_created_again_is_counted_once(stores: Stores) -> None:
    first = await stores.create_run()
    again = await stores.create_run(run_id=first.run_id)
    assert again.run_id == first.run_id
    assert total((await stored_figures(stores.pipeline, stores.keys)).values(NEW_RUNS)) == 1
