"""Every phase and every reason has an answer: what the run waits for, since when, who can act, and how."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from slipway.errors import NotFound
from slipway.graphs.review_policy import ReviewPolicies, ReviewPolicy
from slipway.graphs.version_choice import VersionChoice
from slipway.redis.keys import Keys
from slipway.reviews.opening import opened_reviews
from slipway.runs.cancel_reasons import Action
from slipway.runs.failure import Failure
from slipway.runs.held import exhausted
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run, new_id
from slipway.runs.settlement import AskedQuestion, Release, Settlement, ThreadSummary
from slipway.runs.suspect_slots import NO_SUSPECTS
from slipway.settings import Settings
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.waiting_reasons.reasons import WaitingReasons
from slipway.waiting_reasons.record import WaitsFor, Why
from slipway.waiting_reasons.text import lines_of
from tests.runs.conftest import LEASE_MS, Stores, handover, opened
from tests.runs.servers import server
from tests.runs.test_held_runs import hold
from tests.runs.test_memory import GRAPH, MARK, fill
from tests.runs.test_switches import disable, stop_at
from tests.runs.versioned_workers import worker_of

pytestmark = pytest.mark.one_queue

HOSTILE: Final = "\x1b[2J<script>\n" + "n" * 10_000
ACTION: Final = {"name": "pay", "args": {"amount": 20}, "description": "Pays"}


@dataclass(frozen=True)
class Case:
    """What a run waits for after `arrange`. `detail` are members of the answer, and `acts` what can be done: the
    commands and routes must contain these texts."""

    waits_for: WaitsFor
    arrange: Callable[[Stores], Awaitable[Run]]
    says: str
    detail: Mapping[str, Any]
    acts: tuple[str, ...]


def reasons_of(stores: Stores, **differs: Any) -> WaitingReasons:
    return WaitingReasons(stores.pipeline, stores.shards, Settings.from_values({"lease_s": LEASE_MS / 1000} | differs))


async def why(stores: Stores, run: Run) -> Why:
    return await reasons_of(stores).why(run.run_id)


async def live_worker(stores: Stores) -> None:
    """A worker that claims runs of the graph."""
    await worker_of(stores, "1")


# arrangements


async def due(stores: Stores) -> Run:
    await live_worker(stores)
    await stores.create_run()
    return await stores.create_run()


async def without_worker(stores: Stores) -> Run:
    return await stores.create_run()


async def delayed(stores: Stores) -> Run:
    await live_worker(stores)
    return await stores.create_run(after_s=600)


async def pausing_after_a_crash(stores: Stores) -> Run:
    await live_worker(stores)
    run = await stores.create_run()
    claimed = await stores.claim_one()
    await stores.attempt(claimed).release(handover(claimed, delay_ms=60_000))
    return run


async def behind_an_executing_run(stores: Stores) -> Run:
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id)
    await stores.claim_one()
    return await stores.create_run(thread_id)


async def behind_a_paused_run(stores: Stores) -> Run:
    thread_id = await stores.create_thread()
    first = await stores.create_run(thread_id)
    await pause(stores, first)
    return await stores.create_run(thread_id)


async def behind_a_queued_run(stores: Stores) -> Run:
    await live_worker(stores)
    thread_id = await stores.create_thread()
    await stores.create_run(thread_id)
    await stores.create_run(thread_id)
    return await stores.create_run(thread_id)


async def over_the_limit_of_a_group(stores: Stores) -> Run:
    await live_worker(stores)
    await stores.create_run(groups=[("owner:ann", 1)])
    run = await stores.create_run(groups=[("owner:ann", 1)])
    await stores.claim()
    return run


async def without_its_version(stores: Stores) -> Run:
    new = await worker_of(stores, "2")
    run = await stores.create_run(version=VersionChoice(explicit="1"))
    assert await new.claim() == []
    return run


async def on_a_thread_of_a_version_that_is_gone(stores: Stores) -> Run:
    old = await worker_of(stores, "1")
    first = await stores.create_run()
    await stores.settle((await old.claim())[0])
    await old.leave()
    new = await worker_of(stores, "2")
    run = await stores.create_run(first.thread_id)
    assert await new.claim() == []
    return run


async def with_its_version_elsewhere(stores: Stores) -> Run:
    await worker_of(stores, "1")
    return await without_its_version(stores)


async def without_any_version(stores: Stores) -> Run:
    other = await worker_of(stores, "1", graph_id="chat")
    run = await stores.create_run()
    assert await other.claim() == []
    return run


async def suspected(stores: Stores) -> Run:
    await live_worker(stores)
    run = await stores.create_run()
    await stores.claim_one()
    await stores.reap()
    await stores.queues[0].run_claim("w", 9, LEASE_MS, NO_SUSPECTS)
    return run


async def without_a_job(stores: Stores) -> Run:
    await live_worker(stores)
    run = await stores.create_run()
    await stores.pipeline.send("DEL", stores.shards.home.queue)
    return run


async def to_be_cancelled(stores: Stores) -> Run:
    await live_worker(stores)
    run = await pausing_after_a_crash(stores)
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    return run


async def executing(stores: Stores) -> Run:
    await stores.create_run()
    return await stores.claim_one(worker="host:7:abc")


async def executing_and_paused(stores: Stores) -> Run:
    run = await executing(stores)
    await stores.scripts.run_pause(run.run_id, OperatorPause("eve", "2026-01-01T00:00:00+00:00"))
    return run


async def abandoned(stores: Stores) -> Run:
    await live_worker(stores)
    await stores.create_run()
    return await stores.claim_one(worker="host:7:abc", lease_ms=-5000)


async def abandoned_by_all(stores: Stores) -> Run:
    await stores.create_run()
    return await stores.claim_one(worker="host:7:abc", lease_ms=-5000)


async def abandoned_after_an_outage(stores: Stores) -> Run:
    run = await abandoned(stores)
    await stores.pipeline.send("HSET", stores.shards.home.outage_watch, "grace_until_ms", 10**14)
    return run


async def pause(stores: Stores, run: Run) -> None:
    await stores.scripts.run_pause(run.run_id, OperatorPause("eve", "2026-01-01T00:00:00+00:00", "too many refunds"))


async def paused_by_an_operator(stores: Stores) -> Run:
    run = await stores.create_run()
    await pause(stores, run)
    return run


async def paused_before_a_node(stores: Stores) -> Run:
    node = Target(Kind.NODE, "pay now", "steps")
    await disable(stores, node)
    await stores.create_run()
    run = await stores.claim_one()
    await stop_at(stores, run, node)
    return run


async def paused_with_everything(stores: Stores) -> Run:
    await disable(stores, EVERYTHING)
    run = await stores.create_run()
    assert await stores.claim() == []
    return run


async def paused_before_a_switch_that_is_on(stores: Stores) -> Run:
    run = await paused_with_everything(stores)
    await stores.pipeline.send("DEL", stores.shards.home.switches)
    return run


async def held(stores: Stores) -> Run:
    await stores.create_run()
    return await hold(stores)


async def used_up(stores: Stores) -> Run:
    await stores.create_run(pauses_exhausted=True)
    run = await stores.claim_one()
    own = exhausted(Failure("node.failed", "ValueError", "no stock", "no stock", "pay now", False, {}), 1)
    await stores.attempt(run).release(Release(reason=own.reason, usage="[]", pause=own))
    return await stores.reload(run)


async def asks(stores: Stores, policy: ReviewPolicy, questions: int = 1, value: Any = "ok?") -> Run:
    await stores.create_run()
    run = await stores.claim_one()
    asked = [AskedQuestion({"id": f"{number:032x}", "value": value}, "ask") for number in range(questions)]
    summary = ThreadSummary(b"{}", "", b"{}", "interrupted", asked)
    opened_ones = opened_reviews(run, asked, ReviewPolicies(policy), set())
    await stores.attempt(run).settle(
        Settlement(Phase.WAITING_FOR_APPROVAL, usage="[]", event_ttl_s=60, thread=summary, reviews=opened_ones)
    )
    return await stores.reload(run)


async def asks_reviewers(stores: Stores) -> Run:
    return await asks(stores, ReviewPolicy(), questions=2)


async def asks_a_group(stores: Stores) -> Run:
    policy = ReviewPolicy(
        groups=("finance",), quorum=2, four_eyes=True, due_s=3600, escalate_s=60, escalate_to=("board",)
    )
    return await asks(stores, policy)


async def has_answers(stores: Stores) -> Run:
    run = await asks(stores, ReviewPolicy())
    await stores.pipeline.send("HSET", stores.keys.review(f"{run.run_id}:{0:032x}"), "state", "held")
    return run


async def at_a_breakpoint(stores: Stores) -> Run:
    await stores.create_run()
    run = await stores.claim_one()
    await stores.settle(run, Phase.WAITING_FOR_APPROVAL)
    return run


async def completed(stores: Stores) -> Run:
    await stores.create_run()
    run = await stores.claim_one()
    await stores.settle(run)
    return run


async def failed(stores: Stores) -> Run:
    await stores.create_run()
    run = await stores.claim_one()
    await stores.settle(run, Phase.FAILED)
    return run


async def failed_at_a_ceiling(stores: Stores) -> Run:
    await stores.create_run(ceilings={"max_attempts": 1})
    run = await stores.claim_one()
    await stores.reap()
    assert await stores.phase_of(run) is Phase.FAILED
    return run


async def cancelled(stores: Stores) -> Run:
    run = await stores.create_run()
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT, reason="not needed")
    return run


CANCEL: Final = "slipway runs cancel RUN"

CASES: Final = {
    "due, behind another": Case(
        WaitsFor.FREE_WORKER,
        due,
        "waits until one of 1 live worker has a free place; 1 due run before it",
        {"position": 2, "queue_length": 2, "live_workers": 1},
        ("slipway worker --processes N", CANCEL),
    ),
    "no worker": Case(
        WaitsFor.LIVE_WORKER, without_worker, "No live worker claims runs", {"position": 1}, ("slipway worker",)
    ),
    "delayed": Case(WaitsFor.DUE_TIME, delayed, "as its request asks", {}, (CANCEL,)),
    "pausing": Case(
        WaitsFor.DUE_TIME, pausing_after_a_crash, "a pause after its last attempt", {"attempts_so_far": 1}, (CANCEL,)
    ),
    "behind an executing run": Case(
        WaitsFor.EARLIER_RUN,
        behind_an_executing_run,
        "of its thread, which executes",
        {"blocking_phase": "running", "blocking_waits_for": "attempt", "runs_before_on_thread": 1},
        ("slipway runs cancel",),
    ),
    "behind a paused run": Case(
        WaitsFor.EARLIER_RUN,
        behind_a_paused_run,
        "which is paused. That run: It was paused by eve: too many refunds.",
        {"blocking_phase": "paused", "blocking_waits_for": "operator"},
        ("slipway runs resume", "/resume"),
    ),
    "behind queued runs": Case(
        WaitsFor.EARLIER_RUN,
        behind_a_queued_run,
        "which is queued. That run: It is due",
        {"blocking_waits_for": "free_worker", "runs_before_on_thread": 2},
        ("slipway worker --processes N",),
    ),
    "a concurrency group": Case(
        WaitsFor.CONCURRENCY_GROUP,
        over_the_limit_of_a_group,
        "1 of at most 1 runs of the concurrency group owner:ann execute",
        {"group": "owner:ann", "limit": 1, "running": 1},
        (CANCEL,),
    ),
    "a version that nobody serves": Case(
        WaitsFor.VERSION,
        without_its_version,
        "No live worker serves steps@1. Served: 2 by 1 worker.",
        {"version": "1", "is_served": False, "served": [{"version": "2", "workers": 1}]},
        ("slipway worker --config", "slipway runs pause RUN && slipway runs resume RUN --version 2", CANCEL),
    ),
    "a thread of a version that is gone": Case(
        WaitsFor.VERSION,
        on_a_thread_of_a_version_that_is_gone,
        "No live worker serves steps@1. Served: 2 by 1 worker.",
        {"version": "1", "version_fixed": False},
        ("slipway threads move --graph steps --to 2 --thread THREAD",),
    ),
    "a version that others serve": Case(
        WaitsFor.VERSION,
        with_its_version_elsewhere,
        "A worker that serves steps@1 must claim it",
        {"is_served": True, "served": [{"version": "1", "workers": 1}, {"version": "2", "workers": 1}]},
        ("slipway worker --config",),
    ),
    "a graph that nobody serves": Case(
        WaitsFor.VERSION,
        without_any_version,
        "No live worker serves steps. Served: no version of graph steps.",
        {"version": None, "served": []},
        ("slipway worker --config",),
    ),
    "a crash suspect": Case(
        WaitsFor.CRASH_SUSPECTS,
        suspected,
        "A worker died while it executed it (once)",
        {"crashes": 1, "dead_worker": "w", "queued_because": "the worker of attempt 1 died"},
        (CANCEL,),
    ),
    "no job": Case(WaitsFor.REPAIR, without_a_job, "No queue has its job", {}, ("slipway doctor --repair",)),
    "to be cancelled": Case(
        WaitsFor.FREE_WORKER, to_be_cancelled, "A cancel was requested", {}, ("slipway worker --processes N",)
    ),
    "executing": Case(
        WaitsFor.ATTEMPT,
        executing,
        "Attempt 1 executes it, in superstep 0. Worker host:7:abc; its last heartbeat was 0.0 s ago.",
        {"attempt": 1, "worker": "host:7:abc", "superstep": 0},
        ("slipway runs pause RUN", CANCEL),
    ),
    "executing, and to be paused": Case(
        WaitsFor.ATTEMPT, executing_and_paused, "An operator pauses it", {}, ("slipway runs pause RUN",)
    ),
    "an expired lease": Case(
        WaitsFor.RECLAIM,
        abandoned,
        "It was host:7:abc. The reaper of a live worker reclaims it within",
        {"reclaimed_by": "the reaper of a live worker", "live_workers": 1},
        (),
    ),
    "an expired lease without workers": Case(
        WaitsFor.RECLAIM, abandoned_by_all, "no live worker is left", {"reclaimed_by": None}, ("slipway worker",)
    ),
    "an expired lease after an outage": Case(
        WaitsFor.RECLAIM, abandoned_after_an_outage, "Redis was unavailable, so nothing is reclaimed before", {}, ()
    ),
    "paused by an operator": Case(
        WaitsFor.OPERATOR,
        paused_by_an_operator,
        "It was paused by eve: too many refunds.",
        {"paused_by": "eve", "reason": "too many refunds", "requested_at": "2026-01-01T00:00:00+00:00"},
        ("slipway runs resume RUN", "POST /ops/runs/RUN/resume"),
    ),
    "before a node": Case(
        WaitsFor.SWITCH,
        paused_before_a_node,
        "It is paused: node 'pay now' of graph 'steps' is switched off, by eve: too many.",
        {"switch": "node:steps:pay now", "switched_off_by": "eve"},
        ("slipway node enable", "DELETE /ops/graphs/steps/nodes/pay%20now"),
    ),
    "with everything": Case(
        WaitsFor.SWITCH,
        paused_with_everything,
        "everything is switched off, by eve",
        {"switch": "all"},
        ("slipway unpause", "DELETE /ops/pause"),
    ),
    "before a switch that is on again": Case(
        WaitsFor.SWITCH, paused_before_a_switch_that_is_on, "all is switched on again", {}, (CANCEL,)
    ),
    "held": Case(
        WaitsFor.HELD_VERSION,
        held,
        "Version 2 of graph steps cannot continue its thread: node 'review' is next.",
        {"refused_by_version": "2", "reasons": [{"code": "node.removed", "text": "node 'review' is next"}]},
        ("slipway worker --config", "slipway runs resume RUN --version "),
    ),
    "exhausted": Case(
        WaitsFor.EXHAUSTED,
        used_up,
        "Its retries are used up",
        {"code": "node.failed", "node": "pay now"},
        ("slipway runs resume RUN", "slipway runs skip-node RUN 'pay now'"),
    ),
    "reviews": Case(
        WaitsFor.REVIEWS,
        asks_reviewers,
        "2 questions must be decided by reviewers",
        {"undecided": 2},
        ("slipway reviews decide RUN:", "POST /ops/reviews/RUN:", "POST /threads/THREAD/runs"),
    ),
    "reviews of a group": Case(
        WaitsFor.REVIEWS,
        asks_a_group,
        "decided by 2 more of 2 members of finance, but not whoever started the run, until ",
        {"undecided": 1},
        ("slipway reviews decide RUN:",),
    ),
    "answers that are held": Case(WaitsFor.HELD_ANSWERS, has_answers, "Its questions have answers", {}, (CANCEL,)),
    "a breakpoint": Case(WaitsFor.ANSWER, at_a_breakpoint, "It stopped at a breakpoint", {}, ('"input": null', CANCEL)),
    "completed": Case(WaitsFor.NOTHING, completed, "It has completed.", {"attempts": 1}, ()),
    "failed": Case(
        WaitsFor.NOTHING, failed, "It failed with node.failed", {"code": "node.failed"}, ("slipway runs retry RUN",)
    ),
    "failed at a ceiling": Case(
        WaitsFor.NOTHING,
        failed_at_a_ceiling,
        "It failed with ceiling.attempts",
        {"code": "ceiling.attempts"},
        ("slipway runs raise-ceiling RUN --limit max_attempts=2 --resume", "slipway runs retry RUN"),
    ),
    "cancelled": Case(
        WaitsFor.NOTHING,
        cancelled,
        "It was cancelled through the API: not needed.",
        {},
        ("slipway runs retry RUN", "POST /ops/runs/RUN/retry"),
    ),
}


def all_texts(answer: Why) -> str:
    return " ".join([answer.sentence, *answer.notes])


OF_ONE_SHARD: Final = pytest.mark.one_shard("each shard has some of the slots of a group")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=OF_ONE_SHARD if name == "a concurrency group" else ()) for name in CASES]
)
async def test_a_run_says_what_it_waits_for(stores: Stores, name: str) -> None:
    case = CASES[name]
    run = await case.arrange(stores)
    answer = await why(stores, run)
    public = answer.public()
    assert (answer.waits_for, answer.phase) == (case.waits_for, (await stores.reload(run)).phase.value), public
    assert case.says in all_texts(answer)
    assert {name: public["detail"][name] for name in case.detail} == case.detail
    ways = "\n".join(f"{act.command}\n{act.route}" for act in answer.acts)
    for part in case.acts:
        assert part.replace("RUN", run.run_id).replace("THREAD", run.thread_id) in ways
    assert all(act.permission for act in answer.acts if act.route), "a route names its permission"
    assert 0 <= answer.waited_s < 60
    assert answer.since_us <= answer.now_us


def test_every_reason_has_a_case() -> None:
    assert {case.waits_for for case in CASES.values()} | {WaitsFor.MEMORY} == set(WaitsFor)


def test_the_page_explains_every_reason() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^\| `([a-z_]+)` \| (?:`|ended)", page, re.MULTILINE)) >= {each.value for each in WaitsFor}


@pytest.mark.one_shard("it is about the room of one shard")
async def test_a_run_without_room_in_redis_says_how_much_it_needs(keys: Keys) -> None:
    async with (
        server("--maxmemory", "25mb", "--maxmemory-policy", "noeviction") as valkey,
        opened(valkey.url, keys, patience_s=0.3) as small,
    ):
        await live_worker(small)
        first, run = await small.create_run(), await small.create_run()
        await fill(small, 1000)
        await small.queues[0].run_claim("w", 9, LEASE_MS, mark=MARK)
        answer = await why(small, run)
        assert (first.graph_id, answer.waits_for) == (GRAPH, WaitsFor.MEMORY)
        assert answer.public()["detail"]["expected_bytes"] == 40_000
        assert answer.public()["detail"]["max_bytes"] == 25 * 1024 * 1024


async def test_a_run_that_does_not_exist_is_not_found(stores: Stores) -> None:
    with pytest.raises(NotFound):
        await reasons_of(stores).why(new_id())


async def test_others_than_operators_see_no_runs_of_others_and_no_workers(stores: Stores) -> None:
    await live_worker(stores)
    before = await stores.create_run()
    answer = await why(stores, await stores.create_run())
    assert before.run_id in str(answer.public())
    assert before.run_id not in str(answer.for_reader(operator=False).public())
    executing_answer = await why(stores, await stores.claim_one(limit=1, worker="host:7:abc"))
    assert "host:7" in str(executing_answer.public())
    assert "host:7" not in str(executing_answer.for_reader(operator=False).public())


async def test_texts_of_others_are_bounded(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.scripts.run_pause(run.run_id, OperatorPause(HOSTILE, "2026-01-01T00:00:00+00:00", HOSTILE))
    answer = await why(stores, run)
    assert len(str(answer.public())) < 5000
    assert all(len(line) < 1500 for line in lines_of(answer))


async def test_the_text_has_a_line_for_each_fact_and_each_way_to_act(stores: Stores) -> None:
    run = await asks_a_group(stores)
    lines = lines_of(await why(stores, run))
    assert re.fullmatch(
        rf"run {run.run_id} of graph steps is waiting for approval, waits for reviews since \S+ \S+ UTC \(\d\.\d s\)",
        lines[0],
    )
    assert lines[1].startswith("1 question must be decided by 2 more of 2 members of finance")
    assert "  reviews" in lines
    assert f"    {'groups':<20} finance" in lines
    assert not any("T" in line and "+00:00" in line for line in lines), "times have one form"
    answer = '\'{"kind": "answer", "value": "…"}\''
    assert f"      slipway reviews decide {run.run_id}:{0:032x} {answer}" in lines
    assert any(line.endswith("(needs slipway:review)") for line in lines)


@pytest.mark.parametrize(
    ("question", "argument"),
    [
        ("really?", '\'{"kind": "answer", "value": "…"}\''),
        ({"action_requests": [ACTION], "review_configs": []}, "approve"),
        ({"action_requests": [ACTION, ACTION], "review_configs": []}, '\'{"decisions": [{"kind": "approve"}, '),
    ],
)
async def test_the_command_that_decides_fits_the_question(stores: Stores, question: Any, argument: str) -> None:
    answer = await why(stores, await asks(stores, ReviewPolicy(), value=question))
    assert str(answer.acts[0].command).partition(" decide ")[2].partition(" ")[2].startswith(argument)


async def test_it_takes_one_round_trip_for_a_queued_or_running_run(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await due(stores)
    calls: list[str] = []
    original = stores.pipeline.run

    async def counted(script: Any, *args: Any, **options: Any) -> Any:
        calls.append(script.name)
        return await original(script, *args, **options)

    monkeypatch.setattr(stores.pipeline, "run", counted)
    await why(stores, run)
    assert calls == ["waiting_reason"]


async def test_somebody_without_a_name_is_named_in_words(stores: Stores) -> None:
    run = await stores.create_run()
    await stores.scripts.run_pause(run.run_id, OperatorPause("anonymous", "2026-01-01T00:00:00+00:00"))
    lines = lines_of(await why(stores, run))
    assert lines[1] == "It was paused by somebody who is not signed in."
    assert f"  {'requested at':<22} 2026-01-01 00:00:00 UTC" in lines


async def test_a_running_run_does_not_wait_and_its_durations_have_a_unit(stores: Stores) -> None:
    lines = lines_of(await why(stores, await executing(stores)))
    assert "is running since" in lines[0]
    assert any(re.fullmatch(r"  heartbeat age +\d\.\d+ s", line) for line in lines)
