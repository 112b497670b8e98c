"""No interleaving of decisions, due times, cancels, switches, pauses, retries and crashes makes a call that people did
not approve, makes one call under two keys, or gives a question two decisions.

`SLIPWAY_TEST_SEEDS` sets the number of histories.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any, Final

import orjson
import pytest

from slipway.errors import SlipwayError
from slipway.execution.execution import Execution
from slipway.graphs.langgraph_json import read
from slipway.graphs.registry import Registry
from slipway.reviews.actor import Actor
from slipway.reviews.record import Review, ReviewState
from slipway.run_operations.operations import Operator
from slipway.runs.attempt_writer import AttemptWriter
from slipway.runs.record import FINAL, Phase, Run
from slipway.services import Services
from slipway.settings import Settings
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.tool_gateway.loading import load_tools
from slipway.tool_gateway.registry import ToolRegistry
from slipway_workers.duties.reviews import Reviews
from tests.project_fixtures import graphs_of, module_of, settings_of
from tests.reviews.waiting_runs import processes
from tests.runs.conftest import TTL_S, new_run
from tests.runs.executions import metering_of
from tests.tools.conftest import Runs
from tests.tools.crashing import CrashingToolScripts

SEEDS: Final = int(os.environ.get("SLIPWAY_TEST_SEEDS", "4"))
STEPS: Final = 40
PROJECT: Final = Path(__file__).parent / "approval_project" / "langgraph.json"
EVE: Final = Operator("eve")
TARGETS: Final = (
    Target(Kind.TOOL, "settle_order"),
    Target(Kind.NODE, "pay", "parallel"),
    Target(Kind.GRAPH, "parallel"),
    EVERYTHING,
)
CALLS: Final = [("settle_order", {"order": order, "amount": amount}) for order, amount in (("a", 5), ("b", 2000))]

graphs = graphs_of(PROJECT)
settings = settings_of(PROJECT)
project = module_of("./desk.py:above_ten")


@pytest.fixture
async def registry(graphs: Registry) -> ToolRegistry:
    """The tools of the project."""
    return await load_tools(read(PROJECT), graphs)


class History:
    """A thread with two calls, and everybody who does something to it in random order."""

    def __init__(self, runs: Runs, web: list[Services], seed: int) -> None:
        self.runs, self.web, self.random, self.thread_id = runs, web, Random(seed), ""

    @property
    def services(self) -> Services:
        return self.random.choice(self.web)

    async def start(self) -> None:
        self.thread_id = await self.runs.stores.create_thread()
        options = {"input": {"calls": CALLS, "answers": []}}
        await self.services.submission.submit(new_run(self.thread_id, graph_id="parallel", options=options))

    async def act(self) -> None:
        actions: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self.execute, 36),
            (self.approve, 24),
            (self.reject, 2),
            (self.edit, 6),
            (self.expire, 2),
            (self.switch_off, 4),
            (self.switch_on, 8),
            (self.pause, 2),
            (self.resume, 4),
            (self.cancel, 1),
            (self.retry, 4),
        ]
        (action,) = self.random.choices([each for each, _ in actions], [weight for _, weight in actions])
        with suppress(SlipwayError):  # others were quicker, or the record does not permit it
            await action()

    # the worker

    async def execute(self, *, may_crash: bool = True) -> bool:
        """Executes the runs that are due; the worker may crash at any script of a call. Returns whether there was
        one."""
        stores = self.runs.stores
        claimed = await stores.claim()
        for run in claimed:
            crash_at = self.random.randint(0, 14) if may_crash and self.random.random() < 0.5 else 1_000_000
            scripts = CrashingToolScripts(stores, crash_at)
            services = self.services
            await services.switch_watch.refresh()
            execution = Execution(
                AttemptWriter(scripts.run_scripts, run),
                self.runs.graphs,
                stores.checkpointer,
                stores.shards.of_thread(run.thread_id),
                event_ttl_s=TTL_S,
                metering=metering_of(stores),
                tools=replace(self.runs.services, scripts=scripts),
                switches=lambda services=services: services.switch_watch.off,  # type: ignore[misc]
            )
            execution.on_switches_changed()
            await execution.execute()
            if scripts.run_scripts.crashed:
                await stores.reap()
        return bool(claimed)

    # reviewers

    async def _open(self) -> list[Review]:
        reviews = []
        for run in await self.all_runs():
            reviews += await self.services.reviews.of_run(run.run_id)
        return [each for each in reviews if each.state in (ReviewState.OPEN, ReviewState.CLAIMED, ReviewState.HELD)]

    async def _decide(self, **decision: Any) -> None:
        if reviews := await self._open():
            review, actor = self.random.choice(reviews), Actor(self.random.choice("abc"))
            await self.services.reviews.decide(review.review_id, actor, decision)

    async def approve(self) -> None:
        await self._decide(kind="approve")

    async def reject(self) -> None:
        await self._decide(kind="reject")

    async def edit(self) -> None:
        amount = self.random.choice([1, 7, 3000])
        await self._decide(kind="edit", args={"order": self.random.choice("ab"), "amount": amount})

    async def expire(self) -> None:
        """A due time comes, and a duty finds it."""
        services = self.services
        for review in (await self._open())[:1]:
            await services.pipeline.send("HSET", services.keys.review(review.review_id), "due_us", 1)
            await services.pipeline.send("ZADD", services.keys.reviews_due, 1, review.review_id)
        await Reviews(services).run_once()

    # operators

    async def all_runs(self) -> list[Run]:
        return await self.services.runs.list(self.thread_id, limit=1000)

    async def _any(self) -> str:
        return self.random.choice(await self.all_runs()).run_id

    async def switch_off(self) -> None:
        await self.services.switches.switch_off(self.random.choice(TARGETS), by="eve", reason=None)

    async def switch_on(self) -> None:
        await self.services.switches.switch_on(self.random.choice(TARGETS), by="eve")

    async def pause(self) -> None:
        await self.services.run_operations.pause(await self._any(), EVE)

    async def resume(self) -> None:
        await self.services.run_operations.resume(await self._any(), EVE)

    async def cancel(self) -> None:
        await self.services.run_operations.cancel(await self._any(), EVE)

    async def retry(self) -> None:
        await self.services.run_repairs.retry(await self._any(), EVE)

    # the end

    async def finish(self) -> None:
        """Everything is enabled, every question is approved, and the worker crashes no more."""
        for target in TARGETS:
            await self.services.switches.switch_on(target, by="eve")
        for _ in range(30):
            await Reviews(self.services).run_once()
            for run in await self.all_runs():
                with suppress(SlipwayError):
                    await self.services.run_operations.resume(run.run_id, EVE)
            progressed = await self.execute(may_crash=False)
            for review in await self._open():
                for actor in "abc":
                    with suppress(SlipwayError):
                        await self.services.reviews.decide(review.review_id, Actor(actor), {"kind": "approve"})
                        progressed = True
            if not progressed:
                return
        raise AssertionError("the thread does not come to rest")

    async def check(self, executed: list[tuple[str, str, dict[str, Any]]]) -> None:
        runs = await self.all_runs()
        assert all(run.phase in FINAL for run in runs), [(run.phase, run.reason, run.error) for run in runs]
        approved: dict[str, list[bytes]] = {}
        for run in runs:
            made = Counter(
                entry.details["review_id"]
                for entry in await self.services.audit.read(run.run_id)
                if entry.action in ("review.decided", "review.expired")
            )
            for review in await self.services.reviews.of_run(run.run_id):
                assert made[review.review_id] <= 1, "a question has one decision"
                if review.outcome is not None and (call := _approved(review)) is not None:
                    approved.setdefault(_key_of(review), []).append(call)
        for key, name, args in executed:
            assert orjson.dumps([name, args]) in approved.get(key, []), f"{key}: {name} {args} was not approved"
        by_key = {key: orjson.dumps([name, args]) for key, name, args in executed}
        assert len(by_key) <= len(CALLS), "a call has one key"
        if runs[0].phase is Phase.COMPLETED and len(executed) > len(by_key):
            assert any(run.attempt > 1 or run.resumes for run in runs), "only a crash repeats a call"


def _key_of(review: Review) -> str:
    return str(review.question.value["slipway"]["call"])


def _approved(review: Review) -> bytes | None:
    """The call that the decision permits, as JSON; None if it permits none."""
    assert review.outcome is not None
    (decision,) = review.outcome.decisions
    (action,) = review.question.actions
    if decision["kind"] == "approve":
        return orjson.dumps([action.name, dict(action.args)])
    if decision["kind"] == "edit":
        return orjson.dumps([decision.get("name", action.name), decision["args"]])
    return None


async def test_no_interleaving_makes_an_unapproved_call(
    runs: Runs, settings: Settings, graphs: Registry, project: ModuleType
) -> None:
    async with processes(settings, graphs, 2) as web:
        for seed in range(SEEDS):
            history = History(runs, web, seed)
            await history.start()
            for _ in range(STEPS):
                await history.act()
            await history.finish()
            try:
                await history.check(project.executed[history.thread_id])
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error
