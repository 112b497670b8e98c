"""No interleaving of pauses, switches, cancels, claims, releases and crashes loses a run, or doubles one.

`SLIPWAY_TEST_SEEDS` sets the number of histories.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Final

import pytest

from slipway.clock import Clock
from slipway.errors import SlipwayError
from slipway.health.doctor import Doctor
from slipway.run_operations.operations import Operator, RunOperations
from slipway.runs.cancel_reasons import Action
from slipway.runs.record import FINAL, Phase, Run
from slipway.runs.settlement import Release
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.runs.conftest import LEASE_MS, TTL_S, Stores

SEEDS: Final = int(os.environ.get("SLIPWAY_TEST_SEEDS", "4"))
STEPS: Final = 60
EVE: Final = Operator("eve")
TARGETS: Final = (
    Target(Kind.GRAPH, "steps"),
    Target(Kind.NODE, "pay", "steps"),
    Target(Kind.TOOL, "mail"),
    EVERYTHING,
)


class Fleet:
    """Workers, operators and clients who act in random order. `executing` are the claimed runs, by id."""

    def __init__(self, stores: Stores, seed: int) -> None:
        self.stores, self.random = stores, Random(seed)
        self.operations = RunOperations(stores.runs, stores.scripts, Clock(), event_ttl_s=TTL_S)
        self.switches = SwitchStore(SwitchScripts(stores.pipeline, stores.shards), Clock())
        self.created: list[Run] = []
        self.executing: dict[str, Run] = {}
        self.deleted: set[str] = set()

    async def act(self) -> None:
        actions: list[tuple[Callable[[], Awaitable[object]], int]] = [
            (self.create, 4),
            (self.claim, 8),
            (self.settle, 4),
            (self.release, 3),
            (self.stop_at_switch, 5),
            (self.reap, 1),
            (self.pause, 4),
            (self.resume, 4),
            (self.cancel, 1),
            (self.delete, 1),
            (self.switch_off, 3),
            (self.switch_on, 4),
            (self.switch_on_and_die, 1),
            (self.resume_some, 1),
        ]
        (action,) = self.random.choices([each for each, _ in actions], [weight for _, weight in actions])
        with suppress(SlipwayError):  # the run that was chosen does not permit it
            await action()

    def _any(self) -> Run:
        return self.random.choice(self.created)

    async def create(self) -> None:
        thread_id = self._any().thread_id if self.created and self.random.random() < 0.5 else None
        strategy = self.random.choice(["enqueue", "enqueue", "interrupt"])
        groups = [("few", 2)] if self.random.random() < 0.3 else ()
        graph_id = self.random.choice(["steps", "chat"])
        run = await self.stores.create_run(thread_id, graph_id=graph_id, multitask_strategy=strategy, groups=groups)
        self.created.append(run)

    async def claim(self) -> None:
        for run in await self.stores.claim(limit=self.random.randrange(1, 4)):
            assert run.run_id not in self.executing, "another attempt executes it"
            self.executing[run.run_id] = run

    async def settle(self) -> None:
        if (run := self._take()) is not None:
            stored = await self.stores.reload(run)
            phase = Phase.COMPLETED if stored.cancel is None else Phase.CANCELLED
            await self.stores.settle(run, phase, rollback=stored.cancel is Action.ROLLBACK)

    async def release(self) -> None:
        if (run := self._take()) is not None:
            await self.stores.attempt(run).release(Release(reason="drained", usage="[]"))

    async def stop_at_switch(self) -> None:
        if (run := self._take()) is not None:
            switch = self.random.choice(TARGETS).key
            await self.stores.attempt(run).release(Release(reason="stopped", usage="[]", switch=switch))

    def _take(self) -> Run | None:
        return self.executing.pop(self.random.choice(list(self.executing))) if self.executing else None

    async def reap(self) -> None:
        await self.stores.reap()
        self.executing.clear()

    async def pause(self) -> None:
        await self.operations.pause(self._any().run_id, EVE)

    async def resume(self) -> None:
        await self.operations.resume(self._any().run_id, EVE)

    async def cancel(self) -> None:
        await self.operations.cancel(self._any().run_id, EVE, self.random.choice(list(Action)))

    async def delete(self) -> None:
        run = self._any()
        await self.stores.runs.delete(run.thread_id, run.run_id)
        self.deleted.add(run.run_id)

    async def switch_off(self) -> None:
        await self.switches.switch_off(self.random.choice(TARGETS), by="eve", reason=None)

    async def switch_on(self) -> None:
        await self.switches.switch_on(self.random.choice(TARGETS), by="eve")

    async def switch_on_and_die(self) -> None:
        """The process is killed before it has queued any run."""
        scripts = SwitchScripts(self.stores.pipeline, self.stores.shards)
        await scripts.switch_on(self.random.choice(TARGETS), by="eve")

    async def resume_some(self) -> None:
        """The duty of a worker, which is killed after one call."""
        await SwitchScripts(self.stores.pipeline, self.stores.shards).resume_runs(1)

    async def finish(self) -> None:
        """Switches everything on, resumes every run, and executes all of them."""
        for target in TARGETS:
            await self.switches.switch_on(target, by="eve")
        await self.switches.resume_runs()
        for run in self.created:
            with suppress(SlipwayError):
                await self.operations.resume(run.run_id, EVE)
        for _ in range(4 * len(self.created)):
            await self.claim()
            while self.executing:
                await self.settle()


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_every_run_ends_once(stores: Stores, seed: int) -> None:
    fleet = Fleet(stores, seed)
    await fleet.create()
    for step in range(STEPS):
        await fleet.act()
        if step % 10 == 9:
            found = await Doctor(stores.pipeline, stores.shards, lease_ms=LEASE_MS, repair=False).check_all()
            assert found == [], f"after step {step}"
    await fleet.finish()
    for run in fleet.created:
        try:
            ended = await stores.reload(run)
        except SlipwayError:  # it was deleted, or cancelled with a rollback
            continue
        assert ended.phase in FINAL, (ended.phase, ended.reason)
        assert (await stores.event_names(run)).count("end") == 1
        assert run.run_id not in fleet.deleted
    keys = [key.decode() for key in await stores.pipeline.send("KEYS", f"{stores.shards.home.prefix}:switches*")]
    assert keys == []
