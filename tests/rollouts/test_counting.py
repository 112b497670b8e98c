"""What is counted while a version is ramping, and the rollback that follows from it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from slipway.commands.rollouts import status_text
from slipway.rollouts.counts import VersionCounts
from slipway.rollouts.guard_rounds import RolloutGuard
from slipway.rollouts.scripts import RolloutScripts
from slipway_workers.process import WorkerProcess
from tests.rollouts.conftest import Desk
from tests.waiting import Eventually

PATH = "/ops/rollouts/desk"


async def ramp(desk: Desk, worker: WorkerProcess, eventually: Eventually, percent: float = 0, **more: Any) -> None:
    """Ramps version 2, and waits until both processes know it."""
    await desk.send("PUT", PATH, json={"versions": {"2": percent}} | more)
    watch = worker.services.rollout_watch
    await eventually(lambda: watch.rollouts == desk.served.services.rollout_watch.rollouts)


async def counts_of(desk: Desk, version: str) -> VersionCounts:
    return (await desk.served.services.rollouts.counts("desk")).of(version)


async def ended(desk: Desk, *, version: str, **body: Any) -> dict[str, Any]:
    """A run of an operator on a new thread with this version, when it has ended."""
    body = {"assistant_id": "desk", "input": {}, "on_completion": "keep"} | body
    headers = {"x-slipway-version": version}
    result: dict[str, Any] = await desk.send("POST", "/runs/wait", json=body, headers=headers)
    return result


async def test_new_threads_and_ended_runs_are_counted_by_version(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    await ended(desk, version="2")
    await ramp(desk, worker, eventually)
    assert (await ended(desk, version="2"))["version"] == "2"
    await ended(desk, version="2", input={"fails_on": "2"})
    await ended(desk, version="2", input={"loops_on": "2"})
    await ended(desk, version="2", input={"version": 7, "unknown": 1}, on_completion="delete")
    await ended(desk, version="1")
    new, old = await counts_of(desk, "2"), await counts_of(desk, "1")
    assert (new.threads, new.succeeded, new.failed, new.ceilings) == (4, 2, 1, 1)
    assert (old.threads, old.succeeded, old.failed, old.ceilings) == (1, 1, 0, 0)
    assert (new.durations.total, old.durations.total) == (2, 1), "of runs that succeeded"
    p95_ms = new.durations.quantile_ms(0.95)
    assert p95_ms is not None
    assert 0 < p95_ms < 10_000

    status = await desk.send("GET", PATH)
    shown = {each["version"]: each for each in status["versions"]}
    assert (shown["2"]["threads_percent"], shown["2"]["errors_percent"], shown["2"]["runs"]) == (80, 25, 4)
    assert shown["2"]["p95_ms"] == round(p95_ms, 2)
    assert shown["2"]["workers"] == 1


async def test_cancelled_runs_are_not_counted(desk: Desk, worker: WorkerProcess, eventually: Eventually) -> None:
    await ramp(desk, worker, eventually)
    run = await desk.run(after_seconds=3600)
    await desk.send("POST", f"/threads/{run['thread_id']}/runs/{run['run_id']}/cancel?wait=true")
    assert (await counts_of(desk, "1")).runs == 0


async def test_nothing_is_counted_without_a_ramp(desk: Desk, worker: WorkerProcess, eventually: Eventually) -> None:
    await ramp(desk, worker, eventually)
    await desk.send("POST", f"{PATH}/rollback")
    await eventually(lambda: worker.services.rollout_watch.ramp_of("desk") is None)
    await ended(desk, version="1")
    assert (await desk.served.services.rollouts.counts("desk")).by_version == {}


async def test_what_a_ramp_has_seen_stays_visible_until_the_next_one(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    await ramp(desk, worker, eventually, 20)
    await ended(desk, version="2", input={"fails_on": "2"})
    for version in ("2", "1", "1"):
        await ended(desk, version=version)
    seen = {each["version"]: each for each in (await desk.send("GET", PATH))["versions"]}
    await desk.send("POST", f"{PATH}/rollback", json={"reason": "angry clients"})
    await eventually(lambda: worker.services.rollout_watch.ramp_of("desk") is None)
    await ended(desk, version="2")

    status = await desk.send("GET", PATH)
    assert all(each["runs"] == 0 for each in status["versions"])
    last = status["last_ramp"]
    for found in last["versions"]:
        assert seen[found["version"]].items() >= found.items()
    assert [each["version"] for each in last["versions"]] == ["1", "2"]
    assert (last["percent"], last["ended"], last["by"], last["reason"]) == (20, "rolled_back", "ann", "angry clients")
    text = status_text(await desk.served.services.rollouts.status("desk")).splitlines()[-1]
    assert text.startswith("Last rollout: version 2 at 20 % got 2 of 4 new threads from 20")
    assert "; 1 of 2 runs failed (50.0%), 0 reached a ceiling, p95 " in text
    assert text.endswith(f"Rolled back at {last['ended_at']} by ann (angry clients)")
    page = await desk.client.get("/ui/graphs/desk", headers={"x-user": "ann"})
    assert "version 2 at 20 % got 2 of 4 new threads" in page.text

    await ramp(desk, worker, eventually)
    assert (await desk.send("GET", PATH))["last_ramp"] is None


@pytest.mark.slow
async def test_a_version_that_fails_one_run_in_five_is_rolled_back(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    """The duty of the worker decides, after 20 runs of the version of which 4 have failed."""
    await ramp(desk, worker, eventually, reason="a try")
    for _ in range(5):
        await asyncio.gather(*(ended(desk, version="1") for _ in range(20)))
    inputs = [{"fails_on": "2"} if number % 5 == 0 else {} for number in range(20)]
    await asyncio.gather(*(ended(desk, version="2", input=each) for each in inputs))

    await eventually(lambda: worker.services.rollout_watch.ramp_of("desk") is None)
    entry, _ = (await desk.send("GET", f"{PATH}/history"))["entries"]
    assert (entry["action"], entry["by"], entry["automatic"]) == ("rolled_back", "slipway", True)
    assert entry["reason"] == (
        "automatic: 4 of 20 runs failed (20.0%), of the current version 0 of 100 (0.0%): more than 5 percentage points "
        "worse"
    )
    await desk.served.services.rollout_watch.refresh()
    assert (await desk.run())["version"] == "1"


async def test_the_guard_looks_only_when_runs_have_ended(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    services = desk.served.services
    guard = RolloutGuard(RolloutScripts(services.pipeline, services.shards), services.rollouts)
    await ramp(desk, worker, eventually)
    rollout = await services.rollouts.get("desk")
    assert not await guard.look(rollout)
    assert (await services.rollouts.counts("desk")).looks == 0
    await asyncio.gather(*(ended(desk, version=version) for version in "12" for _ in range(20)))
    assert not await guard.look(rollout)
    assert (await services.rollouts.counts("desk")).looks == 1


@pytest.mark.parametrize("weight", [0, 100])
async def test_a_new_thread_gets_the_version_of_its_share(
    desk: Desk, worker: WorkerProcess, eventually: Eventually, weight: int
) -> None:
    await ramp(desk, worker, eventually, weight, testers=[{"metadata": "tier", "value": "beta"}])
    assert (await desk.run())["version"] == ("2" if weight else "1")
    assert (await desk.run(metadata={"tier": "beta"}))["version"] == "2"
    await desk.send("POST", f"{PATH}/promote")
    assert (await desk.run())["version"] == "2"


async def test_a_run_whose_workers_all_died_counts_as_failed(
    desk: Desk, worker: WorkerProcess, eventually: Eventually
) -> None:
    await ramp(desk, worker, eventually)
    run = await desk.run(user="ann", headers={"x-slipway-version": "2"}, input={"waits": True})
    assert worker.services.lease_renewer is not None
    dead = worker.services.lease_renewer.worker

    async def phase() -> str:
        found = await desk.send("GET", f"/threads/{run['thread_id']}/runs/{run['run_id']}")
        return str(found["phase"])

    async def failed() -> bool:
        """Reclaims the run as if its worker had died, until no attempt is left."""
        await worker.services.queues[0].run_reap(event_ttl_s=60, pause_ms=0, worker=dead)
        return await phase() == "failed"

    await eventually(failed)
    counts = await counts_of(desk, "2")
    assert (counts.failed, counts.ceilings) == (1, 0)
