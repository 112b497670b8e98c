"""Budgets that the runs of several shards of threads share."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest

from slipway.budget_counts.budget_use import budgets_in_use
from slipway.budget_counts.scripts import BudgetedRun, BudgetEventScripts, BudgetReservation, BudgetScripts
from slipway.budget_counts.store import BudgetStore
from slipway.budgets import Budgets, entries_of
from slipway.errors import BudgetUsedUp, Conflict
from slipway.graphs.metering_sections import BudgetsSection
from slipway.redis.shards import Shards
from slipway.runs.record import new_id
from tests.metering import reserving_process
from tests.metering.reserving_process import RESERVED, USED
from tests.runs.conftest import Stores, opened
from tests.waiting import event_loop_iterations, wait_until
from tests.webhook_endpoints.conftest import add

SHARDS: Final = 8
ROOT: Final = Path(__file__).parents[2]
RUNS: Final = BudgetsSection.model_validate({"owner": {"day": {"runs": 30}}})
TOKENS: Final = BudgetsSection.model_validate({"owner": {"day": {"tokens": 100}}})


@pytest.fixture
async def stores(valkey_url: str, shards: Shards) -> AsyncIterator[Stores]:
    """Stores of a deployment with several shards of threads."""
    async with opened(valkey_url, Shards(shards.prefix, SHARDS).records) as stores:
        yield stores


async def used(stores: Stores, section: BudgetsSection, counted: str) -> float:
    uses = await budgets_in_use(BudgetScripts(stores.pipeline, stores.shards.limits), Budgets(section))
    return sum(use.used.get(counted, 0) for use in uses)


def token_entry(amount: int, section: BudgetsSection = TOKENS) -> Any:
    """What a call adds to the budget of ann."""
    (budget,) = Budgets(section).of_run("ann", "steps", datetime.now(UTC))
    return budget.entry("tokens", amount)


def reservation(amount: int, revision: int = 1, *, run_id: str | None = None, ended: int = 0) -> BudgetReservation:
    """Of a run of ann, which has revisions of its own."""
    run_id = run_id or new_id()
    run = BudgetedRun(run_id, "steps", '"ann"')
    entries = [token_entry(amount)] if amount else []
    return BudgetReservation(run, run_id, revision, 1, entries, [token_entry(ended)] if ended else [])


async def test_runs_of_all_shards_share_a_budget_of_runs(stores: Stores) -> None:
    owned = Budgets(RUNS).of_run("ann", "steps", datetime.now(UTC))
    budgets = entries_of(owned, {"runs": 1})

    async def create() -> int:
        try:
            run = await stores.create_run(metadata={"owner": "ann"}, budgets=budgets)
        except BudgetUsedUp:
            return -1
        return stores.shards.number_of_run(run.run_id)

    created = Counter(await asyncio.gather(*(create() for _ in range(100))))
    assert created.pop(-1) == 70
    assert sum(created.values()) == 30
    assert len(created) > 1, "the runs are in several shards"
    assert await used(stores, RUNS, "runs") == 30


async def test_a_run_that_is_not_created_uses_no_budget(stores: Stores) -> None:
    budgets = entries_of(Budgets(RUNS).of_run("ann", "steps", datetime.now(UTC)), {"runs": 1})
    thread_id = await stores.create_thread()
    first = await stores.create_run(thread_id, budgets=budgets)
    with pytest.raises(Conflict):
        await stores.create_run(thread_id, budgets=budgets, multitask_strategy="reject")
    assert await used(stores, RUNS, "runs") == 1
    again = await stores.create_run(thread_id, run_id=first.run_id, budgets=budgets)
    assert again.run_id == first.run_id
    assert await used(stores, RUNS, "runs") == 1, "the run of a repeated request counts once"


async def test_a_run_that_exists_is_returned_although_its_budget_is_used_up(stores: Stores) -> None:
    one = BudgetsSection.model_validate({"owner": {"day": {"runs": 1}}})
    budgets = entries_of(Budgets(one).of_run("ann", "steps", datetime.now(UTC)), {"runs": 1})
    thread_id = await stores.create_thread()
    first = await stores.create_run(thread_id, budgets=budgets)
    assert (await stores.create_run(thread_id, run_id=first.run_id, budgets=budgets)).run_id == first.run_id
    with pytest.raises(BudgetUsedUp):
        await stores.create_run(budgets=budgets)


async def test_a_reservation_is_released_once(stores: Stores) -> None:
    store, made, other = BudgetStore(stores.pipeline, stores.shards), reservation(60), reservation(30)
    assert await store.reserve(made) is None
    assert await store.reserve(other) is None
    for _ in range(2):
        await store.release(made)
        assert await used(stores, TOKENS, "tokens") == 30
    await store.release(reservation(90))
    assert await used(stores, TOKENS, "tokens") == 30, "it was not reserved"


async def test_a_correction_whose_connection_breaks_is_counted_once(stores: Stores) -> None:
    store, run_id = BudgetStore(stores.pipeline, stores.shards), new_id()
    assert await store.reserve(reservation(90, 1, run_id=run_id)) is None
    for revision in range(2, 12):
        correction = store.correct(reservation(0, revision, run_id=run_id, ended=-4))
        await event_loop_iterations(1)  # it is written, and then the connection breaks
        stores.pipeline.reconnect()
        await correction
    assert await used(stores, TOKENS, "tokens") == 50


@pytest.mark.processes
async def test_processes_that_are_killed_leave_no_budget_above_its_limit_or_below_its_use(
    stores: Stores, valkey_url: str
) -> None:
    """Every call that was made counts with what it has used at least. A process that is killed leaves at most the
    reservations of its four calls uncorrected."""
    limit, processes = 9000, 4
    section = BudgetsSection.model_validate({"owner": {"day": {"tokens": limit}}})
    budget_id, _, _, _, ends_ms = token_entry(1, section)
    command = [sys.executable, "-m", reserving_process.__name__, valkey_url, stores.shards.prefix, str(SHARDS)]

    def start() -> subprocess.Popen[str]:
        arguments = [budget_id, str(limit), str(ends_ms)]
        return subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)

    running, killed = [start() for _ in range(processes)], list[subprocess.Popen[str]]()
    for number in range(5):

        async def is_reached(number: int = number) -> bool:
            return await used(stores, section, "tokens") > 300 * (number + 1)

        await wait_until(is_reached)
        victim = running.pop(0)
        victim.kill()
        killed.append(victim)
        running.append(start())
    outputs = await asyncio.gather(*(asyncio.to_thread(each.communicate, None, 60) for each in (*killed, *running)))
    lines = [line for output, _ in outputs for line in output.splitlines()]
    codes = [each.returncode for each in (*killed, *running)]
    assert -signal.SIGKILL in codes, "the budget lasted until a process was killed"
    made, ended, highest = lines.count("made"), lines.count("ended"), await used(stores, section, "tokens")
    assert lines.count("refused") == codes.count(0) == len(codes) - codes.count(-signal.SIGKILL)
    assert made * USED <= highest <= limit
    uncorrected = 4 * len(killed)
    assert highest <= ended * USED + uncorrected * RESERVED
    assert highest > limit - RESERVED * processes, "what remains is too little for a call"


async def test_a_new_state_is_told_once_also_if_the_process_that_reserved_is_killed(stores: Stores) -> None:
    endpoint, store = await add(stores, "budget.*"), BudgetStore(stores.pipeline, stores.shards)
    scripts = BudgetScripts(stores.pipeline, stores.shards.limits)
    for _ in range(10):  # of a process that is killed before it tells anybody
        await scripts.reserve(reservation(10))
    others = [BudgetStore(stores.pipeline, stores.shards) for _ in range(3)]
    await asyncio.gather(*(each.tell() for each in (store, *others)))
    await store.tell()
    assert sorted(await told(stores, endpoint.endpoint_id)) == [("budget.used_up", 100), ("budget.warning", 80)]
    assert await stores.pipeline.send("EXISTS", stores.shards.limits.budget_events) == 0


async def test_an_event_that_is_told_again_does_not_change_its_delivery(stores: Stores) -> None:
    """As two processes may tell it, the second one when the delivery was tried already."""
    await add(stores, "budget.*")
    run_id, scripts = new_id(), BudgetScripts(stores.pipeline, stores.shards.limits)
    await scripts.reserve(reservation(90, run_id=run_id))
    (event,) = (await scripts.events(9)).values()
    events, keys = BudgetEventScripts(stores.pipeline, stores.shards), stores.shards.of_run(run_id)
    assert await events.tell(run_id, [event])
    (delivery,) = await stores.pipeline.send("KEYS", f"{keys.delivery('msg_')}*")
    await stores.pipeline.send("HSET", delivery, "tries", 3)
    assert await events.tell(run_id, [event])
    assert await stores.pipeline.send("HGET", delivery, "tries") == b"3"


async def test_a_state_that_was_reached_before_anybody_was_subscribed_is_told_later(stores: Stores) -> None:
    store = BudgetStore(stores.pipeline, stores.shards)
    assert await store.reserve(reservation(90)) is None
    assert await store.tell() == 0
    endpoint = await add(stores, "budget.*")
    assert await store.tell() == 1
    assert await told(stores, endpoint.endpoint_id) == [("budget.warning", 90)]


async def told(stores: Stores, endpoint_id: str) -> list[tuple[str, float]]:
    """The type of each event that is to be delivered to an endpoint, and what was used."""
    found = []
    for keys in stores.shards.threads:
        for name in await stores.pipeline.send("KEYS", f"{keys.delivery('msg_')}*"):
            to, body = await stores.pipeline.send("HMGET", name, "endpoint_id", "body")
            if to == endpoint_id.encode():
                event = json.loads(body)
                found.append((event["type"], event["data"]["used"]))
    return found
