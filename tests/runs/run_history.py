"""Random changes of runs, as web processes and workers make them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any, Final

from slipway.assistants.system import system_id
from slipway.clock import Clock
from slipway.errors import SlipwayError
from slipway.redis.hash_fields import fields_of
from slipway.runs.cancel_reasons import Action
from slipway.runs.operator_pause import OperatorPause
from slipway.runs.record import Phase, Run, RunSpec, new_id, run_from
from slipway.switches.record import EVERYTHING, Kind, Target
from slipway.switches.scripts import SwitchScripts
from slipway.switches.store import SwitchStore
from tests.runs.conftest import Stores, handover, new_run

GRAPHS: Final = ("steps", "chat")
SWITCHES: Final = (Target(Kind.GRAPH, "steps"), Target(Kind.NODE, "pay", "chat"), EVERYTHING)
OWN_ASSISTANT: Final = new_id()
USERS: Final = (None, {"identity": "ann"}, {"identity": "bo"})

STEPS: Final = {
    "create": 6,
    "create_on_thread": 3,
    "answer": 3,
    "interrupt": 2,
    "temporary": 2,
    "claim": 8,
    "complete": 3,
    "wait": 3,
    "fail": 2,
    "cancel": 2,
    "roll_back": 1,
    "release": 1,
    "reap": 1,
    "pause": 2,
    "resume": 2,
    "stop_at_switch": 2,
    "switch_off": 1,
    "switch_on": 2,
    "delete_run": 2,
    "delete_thread": 1,
    "patch_thread": 1,
}
"""The steps, with how often each is taken in comparison with the others."""


class History:
    """Changes runs step by step."""

    def __init__(self, stores: Stores, seed: int) -> None:
        self.stores, self.random = stores, Random(seed)
        self.switches = SwitchStore(SwitchScripts(stores.pipeline, stores.shards), Clock())
        self.claimed: list[Run] = []
        self.created: list[Run] = []

    async def take_steps(self, count: int) -> None:
        for step in self.random.choices(list(STEPS), list(STEPS.values()), k=count):
            await self._take(step, self.random.randrange(12))

    async def _take(self, step: str, number: int) -> None:
        """`number` chooses the record, or the variant of the step."""
        method: Callable[[int], Awaitable[None]] = getattr(self, f"_{step}")
        with suppress(SlipwayError):  # the record that the number chooses cannot be changed in this way
            await method(number)

    def _spec(self, thread_id: str, number: int, **differs: Any) -> RunSpec:
        graph = GRAPHS[number % 2]
        assistant_id = OWN_ASSISTANT if number % 3 == 0 else system_id(graph)
        return new_run(thread_id, graph_id=graph, assistant_id=assistant_id, user=USERS[number % 3], **differs)

    async def _create(self, number: int, thread_id: str | None = None, **differs: Any) -> None:
        thread_id = thread_id or await self.stores.create_thread()
        self.created.append(await self.stores.create(self._spec(thread_id, number, **differs)))

    async def _create_on_thread(self, number: int) -> None:
        if self.created:
            await self._create(number, _chosen(self.created, number).thread_id)

    async def _answer(self, number: int) -> None:
        if self.created:
            options = {"input": None, "command": {"resume": 1}}
            await self._create(number, _chosen(self.created, number).thread_id, options=options)

    async def _interrupt(self, number: int) -> None:
        if self.created:
            strategy = "rollback" if number % 2 else "interrupt"
            await self._create(number, _chosen(self.created, number).thread_id, multitask_strategy=strategy)

    async def _temporary(self, number: int) -> None:
        differs: dict[str, Any] = {"options": {"temporary": True}, "create_thread": True, "own_thread": True}
        await self._create(number, new_id(), retain_s=60 if number % 2 else None, **differs)

    async def _claim(self, number: int) -> None:
        self.claimed += await self.stores.claim(limit=1 + number % 3)

    async def _complete(self, number: int) -> None:
        await self._settle(number, Phase.COMPLETED)

    async def _wait(self, number: int) -> None:
        await self._settle(number, Phase.WAITING_FOR_APPROVAL)

    async def _fail(self, number: int) -> None:
        await self._settle(number, Phase.FAILED)

    async def _settle(self, number: int, phase: Phase) -> None:
        if not self.claimed:
            return
        run = self.claimed.pop(number % len(self.claimed))
        action = (await self.stores.reload(run)).cancel
        phase = phase if action is None else Phase.CANCELLED
        await self.stores.settle(run, phase, rollback=action is Action.ROLLBACK)

    async def _release(self, number: int) -> None:
        if self.claimed:
            run = self.claimed.pop(number % len(self.claimed))
            await self.stores.attempt(run).release(handover(run))

    async def _reap(self, number: int) -> None:
        await self.stores.reap()
        self.claimed.clear()

    async def _cancel(self, number: int) -> None:
        await self._cancel_with(number, Action.INTERRUPT)

    async def _roll_back(self, number: int) -> None:
        await self._cancel_with(number, Action.ROLLBACK)

    async def _cancel_with(self, number: int, action: Action) -> None:
        if self.created:
            run = _chosen(self.created, number)
            await self.stores.runs.cancel(run.thread_id, run.run_id, action)

    async def _pause(self, number: int) -> None:
        if self.created:
            await self.stores.scripts.run_pause(_chosen(self.created, number).run_id, OperatorPause("eve", "today"))

    async def _resume(self, number: int) -> None:
        if self.created:
            await self.stores.scripts.run_resume(_chosen(self.created, number).run_id, by="eve", reason=None)

    async def _switch_off(self, number: int) -> None:
        await self.switches.switch_off(SWITCHES[number % len(SWITCHES)], by="eve", reason=None)

    async def _switch_on(self, number: int) -> None:
        await self.switches.switch_on(SWITCHES[number % len(SWITCHES)], by="eve")

    async def _stop_at_switch(self, number: int) -> None:
        if self.claimed:
            run = self.claimed.pop(number % len(self.claimed))
            release = replace(handover(run), switch=SWITCHES[number % len(SWITCHES)].key)
            await self.stores.attempt(run).release(release)

    async def _delete_run(self, number: int) -> None:
        if self.created:
            run = _chosen(self.created, number)
            await self.stores.runs.delete(run.thread_id, run.run_id)

    async def _delete_thread(self, number: int) -> None:
        if self.created:
            await self.stores.threads.delete(_chosen(self.created, number).thread_id)

    async def _patch_thread(self, number: int) -> None:
        """A state write after which nothing is left to answer."""
        if self.created:
            thread_id = _chosen(self.created, number).thread_id
            await self.stores.thread_scripts.set_state(
                thread_id,
                values=b"{}",
                interrupts=b"{}",
                status="idle",
                value_terms="",
                checkpoint_id=None,
                event_ttl_s=60,
            )


def _chosen(runs: Sequence[Run], number: int) -> Run:
    return runs[-1 - number % len(runs)]


async def stored_runs(stores: Stores) -> list[Run]:
    """All runs whose thread exists."""
    runs = []
    for shard in stores.shards.threads:
        for key in await stores.pipeline.send("KEYS", f"{shard.prefix}:run:*"):
            if shard.id_in("run", key.decode()) is None:
                continue
            fields = fields_of(await stores.pipeline.send("HGETALL", key))
            if await stores.pipeline.send("EXISTS", shard.thread(fields["thread_id"].decode())):
                runs.append(run_from(fields))
    return runs
