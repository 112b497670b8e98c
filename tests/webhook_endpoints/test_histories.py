"""The deliveries to an endpoint are exactly the changes of phases, in any history of runs."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from random import Random
from typing import Final

import pytest

from slipway.errors import SlipwayError
from slipway.runs.cancel_reasons import Action
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run, RunSpec, new_id
from slipway.webhook_endpoints.record import Format
from tests.runs.conftest import Stores, handover, new_run
from tests.webhook_endpoints.conftest import GRAPHS, add
from tests.webhook_endpoints.phase_changes import created_events, deliveries_of, recorded_phases

PHASES: Final = (Phase.COMPLETED, Phase.FAILED, Phase.CANCELLED, Phase.WAITING_FOR_APPROVAL)
Step = tuple[str, int, int]
NAMES: Final = (
    *("create", "create", "create", "claim", "claim", "settle", "settle", "settle"),
    *("temporary", "answer", "repeat", "release", "reap", "cancel", "pause", "resume", "rollback"),
    *("delete_run", "delete_thread", "settle_again"),
)
STEPS_OF_A_HISTORY: Final = 120


@dataclass(slots=True)
class History:
    """What the steps of a history act on."""

    stores: Stores
    threads: list[str]
    specs: list[RunSpec] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    claimed: list[Run] = field(default_factory=list)

    async def step(self, step: Step) -> None:
        """A step that is not possible changes nothing."""
        name, one, other = step
        with contextlib.suppress(SlipwayError):
            await getattr(self, name)(one, other)

    def _pick(self, runs: list[Run], number: int) -> Run | None:
        return runs[number % len(runs)] if runs else None

    async def create(self, one: int, other: int) -> None:
        strategy = ("enqueue", "reject", "interrupt", "rollback")[other]
        await self._create(
            new_run(
                self.threads[one % len(self.threads)],
                multitask_strategy=strategy,
                graph_id=GRAPHS[one % 2],
                metadata={"owner": "acme"} if one % 2 else {},
            )
        )

    async def _create(self, spec: RunSpec) -> None:
        self.specs.append(spec)
        self.runs.append(await self.stores.create(spec))

    async def temporary(self, one: int, other: int) -> None:
        await self._create(new_run(new_id(), options={"temporary": True}, create_thread=True, own_thread=True))

    async def answer(self, one: int, other: int) -> None:
        await self._create(new_run(self.threads[one % len(self.threads)], options={"command": {"resume": 1}}))

    async def repeat(self, one: int, other: int) -> None:
        """The same call again, as after a lost reply."""
        if self.specs:
            await self.stores.create(self.specs[one % len(self.specs)])

    async def claim(self, one: int, other: int) -> None:
        self.claimed += await self.stores.claim(limit=one + 1)

    async def settle(self, one: int, other: int) -> None:
        if run := self._pick(self.claimed, one):
            await self.stores.settle(run, PHASES[other], values=json.dumps({"one": one}))

    async def rollback(self, one: int, other: int) -> None:
        if run := self._pick(self.claimed, one):
            await self.stores.settle(run, Phase.CANCELLED, rollback=True)

    async def settle_again(self, one: int, other: int) -> None:
        if run := self._pick(self.claimed, one):
            for _ in range(2):
                await self.stores.settle(run, PHASES[other])

    async def release(self, one: int, other: int) -> None:
        if run := self._pick(self.claimed, one):
            await self.stores.attempt(run).release(handover(run))

    async def reap(self, one: int, other: int) -> None:
        await self.stores.reap()

    async def cancel(self, one: int, other: int) -> None:
        if run := self._pick(self.runs, one):
            await self.stores.runs.cancel(run.thread_id, run.run_id, tuple(Action)[other % 2])

    async def pause(self, one: int, other: int) -> None:
        if run := self._pick(self.runs, one):
            await self.stores.scripts.run_pause(run.run_id, OperatorPause("eve", "today"))

    async def resume(self, one: int, other: int) -> None:
        if run := self._pick(self.runs, one):
            await self.stores.scripts.run_resume(run.run_id, by="eve", reason=None)

    async def delete_run(self, one: int, other: int) -> None:
        if run := self._pick(self.runs, one):
            await self.stores.runs.delete(run.thread_id, run.run_id)

    async def delete_thread(self, one: int, other: int) -> None:
        thread = self.threads[one % len(self.threads)]
        await self.stores.threads.delete(thread)
        await self.stores.threads.create_or_get(thread, {})


@pytest.mark.parametrize("seed", range(12))
async def test_every_change_of_a_phase_has_exactly_one_delivery(stores: Stores, valkey_url: str, seed: int) -> None:
    """Whatever people, workers and crashes do, in any order, and also if calls are repeated."""
    random = Random(seed)
    steps = [(random.choice(NAMES), random.randrange(8), random.randrange(4)) for _ in range(STEPS_OF_A_HISTORY)]
    keys = stores.keys
    everything = await add(stores, "*")
    ends = await add(stores, "run.completed", "run.failed", "run.cancelled", graphs=["other"], format=Format.FULL)
    owned = await add(stores, "run.*", owner="acme")
    history = History(stores, [await stores.create_thread() for _ in range(3)])
    async with recorded_phases(valkey_url, keys, stores.pipeline) as changes:
        for step in steps:
            await history.step(step)
    assert len(changes.expected) > STEPS_OF_A_HISTORY / 3
    graph_of = {spec.identity.run_id: spec.identity.graph_id for spec in history.specs}
    assert await created_events(stores.pipeline, keys, everything.endpoint_id) == changes.expected
    assert await created_events(stores.pipeline, keys, ends.endpoint_id) == {
        (run_id, kind): count
        for (run_id, kind), count in changes.expected.items()
        if kind in ends.types and graph_of[run_id] == "other"
    }
    for fields in await deliveries_of(stores.pipeline, keys):
        body = json.loads(fields["body"])
        assert body["type"] == fields["type"].decode()
        assert len(fields["body"]) < 20_000
    # runs of the graph `other` that were created with metadata
    owner_of = {spec.identity.run_id: spec.identity.metadata.get("owner") for spec in history.specs}
    assert await created_events(stores.pipeline, keys, owned.endpoint_id) == {
        event: count for event, count in changes.expected.items() if owner_of[event[0]] == "acme"
    }


async def test_an_inline_run_begins_with_its_execution(stores: Stores) -> None:
    """It was never queued, unless its process dies. A repeated call tells nothing."""
    endpoint = await add(stores, "*")
    spec = new_run(await stores.create_thread(), inline=True)
    run = (await stores.creator.create(spec, inline_worker="web")).run
    await stores.creator.create(spec, inline_worker="web")
    events = {(run.run_id, "run.running"): 1}
    assert await created_events(stores.pipeline, stores.keys, endpoint.endpoint_id) == events
    await stores.reap(worker="web")
    events[run.run_id, "run.queued"] = 1
    assert await created_events(stores.pipeline, stores.keys, endpoint.endpoint_id) == events


async def test_a_temporary_thread_tells_that_its_run_waited_and_was_abandoned(stores: Stores) -> None:
    endpoint = await add(stores, "*")
    spec = new_run(new_id(), options={"temporary": True}, create_thread=True, own_thread=True)
    run = await stores.create(spec)
    await stores.settle(await stores.claim_one(), Phase.WAITING_FOR_APPROVAL)
    kinds = ("run.queued", "run.running", "run.waiting_for_approval", "run.completed")
    assert await created_events(stores.pipeline, stores.keys, endpoint.endpoint_id) == {
        (run.run_id, kind): 1 for kind in kinds
    }
