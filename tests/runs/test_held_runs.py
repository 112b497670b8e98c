"""Runs that their attempts have paused: which are tried again, and what a resumed run starts with."""

from __future__ import annotations

import pytest

from slipway.graph_versions.scripts import VersionScripts
from slipway.graphs.served_version import Moves, ServedVersion
from slipway.graphs.verdict import Reason, Verdict, VerdictKind
from slipway.graphs.version_choice import VersionChoice
from slipway.runs.cancel_reasons import Action
from slipway.runs.held import held_by
from slipway.runs.held_runs import HeldRuns
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run
from slipway.runs.settlement import Release
from tests.runs.conftest import Stores
from tests.runs.versioned_workers import GRAPH, worker_of

VERDICT = Verdict(VerdictKind.HOLD, (Reason("node.removed", "node 'review' is next"),))


async def held_run(stores: Stores) -> Run:
    """A run that its attempt has held."""
    await stores.create_run()
    return await hold(stores)


async def hold(stores: Stores) -> Run:
    """The run that is due, after its attempt has held it."""
    run = await stores.claim_one()
    pause = held_by(VERDICT, run.run_id, "1", "2")
    assert await stores.attempt(run).release(Release(reason=pause.reason, usage="[]", pause=pause))
    return await stores.reload(run)


async def test_a_held_run_says_why_and_how_to_continue_it(stores: Stores) -> None:
    run = await held_run(stores)

    assert run.phase is Phase.PAUSED
    assert run.reason == (
        "version 2 cannot continue this thread of version 1: node 'review' is next. Deploy code that can continue it, "
        f"or continue with: slipway runs resume {run.run_id} --version 1"
    )
    reasons = [{"code": "node.removed", "text": "node 'review' is next"}]
    assert run.public()["held"] == {"why": "version", "version": "2", "reasons": reasons}
    assert await stores.claim() == []


async def test_held_runs_are_queued_when_something_has_changed(stores: Stores) -> None:
    runs = [await held_run(stores) for _ in range(3)]
    held = HeldRuns(stores.queues, dict)
    assert await held.try_again() == 0

    held.versions_served()
    assert await held.try_again() == 3
    assert await held.try_again() == 0
    found = [await stores.reload(run) for run in runs]
    assert [(each.phase, each.held, each.reason) for each in found] == [
        (Phase.QUEUED, None, "other code is served")
    ] * 3
    assert len(await stores.claim()) == 3


@pytest.mark.one_queue
async def test_code_that_was_served_before_is_newly_served_when_it_comes_back(stores: Stores) -> None:
    """As when the key that a held run misses is put back: the build is known, but no live worker serves it."""
    scripts = VersionScripts(stores.pipeline, stores.shards)
    known, changed = ([ServedVersion(GRAPH, "1", "", build, True)] for build in ("build-1", "build-2"))
    worker = await worker_of(stores, "1")
    assert await scripts.register(known, serves=worker.serves, group="again") == 0
    assert await scripts.register(changed, serves=worker.serves, group="changed") == 1

    await worker.leave()
    assert await scripts.register(known, serves=worker.serves, group="again") == 1
    assert await scripts.register(known) == 0


async def test_a_run_that_an_operator_has_paused_too_stays_paused(stores: Stores) -> None:
    run = await held_run(stores)
    await stores.scripts.run_pause(run.run_id, OperatorPause("ann", "2026-01-01T00:00:00+00:00"))
    held = HeldRuns(stores.queues, dict)
    held.rollout_changed()

    await held.try_again()
    assert await stores.phase_of(run) is Phase.PAUSED


async def test_a_held_run_can_be_cancelled(stores: Stores) -> None:
    run = await held_run(stores)
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)

    assert await stores.pipeline.send("ZCARD", f"{stores.shards.home.prefix}:runs:held") == 0
    claimed = await stores.claim_one()
    await stores.settle(claimed, Phase.CANCELLED)
    assert await stores.phase_of(run) is Phase.CANCELLED


async def test_a_run_without_attempts_left_pauses_if_its_graph_does(stores: Stores) -> None:
    run = await stores.create_run(pauses_exhausted=True, ceilings={"max_attempts": 2})
    for attempt in (1, 2):
        claimed = await stores.claim_one()
        assert claimed.attempt == attempt
        await stores.reap()
    run = await stores.reload(run)

    assert run.phase is Phase.PAUSED
    assert run.reason == "every attempt died: 2 of 2"
    assert run.error is not None
    assert run.error["code"] == "ceiling.attempts"
    assert run.held is not None
    assert run.held.why == "exhausted"

    await stores.scripts.run_resume(run.run_id, by="ann", reason=None)
    claimed = await stores.claim_one()
    assert (claimed.error, claimed.held) == (None, None)
    assert claimed.attempt - claimed.uncounted_attempts == 1


@pytest.mark.parametrize(("moves", "version"), [("at-next-run", "3"), ("at-resume", "3"), ("pinned", "1")])
async def test_a_held_run_gets_its_version_anew(stores: Stores, moves: Moves, version: str) -> None:
    run = await stores.create_run(version=VersionChoice(new="1", current="1"))
    await stores.pipeline.send("HSET", stores.keys.run(run.run_id), "version", "2")
    held = await hold(stores)
    choice = VersionChoice(new="3", current="3", moves=moves, rolled_out=True)
    retried = HeldRuns(stores.queues, lambda: {run.graph_id: choice})
    retried.versions_served()

    assert await retried.try_again() == 1
    assert (held.version, (await stores.reload(run)).version) == ("2", version)


async def test_a_held_run_keeps_the_version_that_an_operator_named(stores: Stores) -> None:
    run = await stores.create_run(version=VersionChoice(new="1", current="1", explicit="2"))
    await hold(stores)
    retried = HeldRuns(stores.queues, lambda: {run.graph_id: VersionChoice(new="3", current="3", rolled_out=True)})
    retried.versions_served()

    assert await retried.try_again() == 1
    assert (await stores.reload(run)).version == "2"
