"""What scripts count of runs whose workers died, that are repeated, or that were stored before this release."""

from __future__ import annotations

from collections.abc import Mapping

from slipway.health.doctor import Doctor
from slipway.metrics.deployment_figures import deployment_figures
from slipway.metrics.figures import Figures
from slipway.metrics.scripts import MetricsScripts
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
from tests.runs.conftest import LEASE_MS, Stores


async def _figures(stores: Stores) -> Figures:
    await stores.pipeline.send("DEL", f"{stores.keys.metrics}:read")
    return deployment_figures(await MetricsScripts(stores.pipeline, stores.keys).read(), [])


def _total(series: Mapping[tuple[str, ...], float], *labels: str) -> float:
    return sum(value for key, value in series.items() if set(labels) <= set(key))


async def test_a_run_that_every_worker_dies_with_ends_once(stores: Stores) -> None:
    await stores.create_run()
    claims = 0
    while await stores.claim():
        claims += 1
        await stores.reap()
    figures = await _figures(stores)
    assert claims > 1
    assert _total(figures.values(ATTEMPTS_STARTED)) == claims
    assert _total(figures.values(ATTEMPTS_ENDED), "lost") == claims
    assert _total(figures.values(ATTEMPTS_ENDED), "failed") == 0
    assert _total(figures.values(RUN_RECOVERIES)) == claims - 1
    assert _total(figures.values(RUNS_ENDED), "failed") == 1
    assert _total(figures.values(CEILINGS_REACHED), "ceiling.attempts") == 1
    assert _total(figures.values(LEASES_EXPIRED)) in (0, claims), "by the reaper, or by a supervisor"
    assert _total(figures.values(QUEUE_DEPTH)) == 0


async def test_runs_of_an_earlier_release_are_added_by_the_doctor_without_a_finding(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.pipeline.send("HDEL", stores.keys.run(run.run_id), "queued_as")
    await stores.pipeline.send("DEL", stores.keys.queued_runs)
    assert _total((await _figures(stores)).values(QUEUE_DEPTH)) == 0
    assert await Doctor(stores.pipeline, stores.keys, lease_ms=LEASE_MS, repair=True).check_all() == []
    assert _total((await _figures(stores)).values(QUEUE_DEPTH)) == 1


async def test_a_claim_of_a_run_of_an_earlier_release_is_counted(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.pipeline.send("HDEL", stores.keys.run(run.run_id), "queued_as")
    await stores.claim_one()
    assert _total((await _figures(stores)).values(ATTEMPTS_STARTED)) == 1


async def test_a_run_that_is_created_again_is_counted_once(stores: Stores) -> None:
    first = await stores.create_run()
    again = await stores.create_run(run_id=first.run_id)
    assert again.run_id == first.run_id
    assert _total((await _figures(stores)).values(NEW_RUNS)) == 1
