"""The indexes of runs across threads name exactly the stored runs, after any sequence of changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any, Final

import pytest

from slipway.assistants.system import system_id
from slipway.errors import SlipwayError
from slipway.redis.hash_fields import fields_of
from slipway.runs.cancel_reasons import Action
from slipway.runs.index_terms import (
    UNFINISHED,
    assistant_term,
    error_term,
    other_assistants_term,
    owner_term,
)
from slipway.runs.record import Phase, Run, new_id, run_from
from tests.runs.conftest import LEASE_MS, Stores, handover, new_run

GRAPHS: Final = ("steps", "chat")
OWN_ASSISTANT: Final = new_id()
USERS: Final = (None, {"identity": "ann"}, {"identity": "bo"})
UNFINISHED_PHASES: Final = frozenset({Phase.QUEUED, Phase.RUNNING, Phase.PAUSED})

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
    "delete_run": 2,
    "delete_thread": 1,
    "patch_thread": 1,
}
"""The steps, with how often each is taken in comparison with the others."""


class History:
    """Changes runs step by step, as web processes and workers do."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores
        self.claimed: list[Run] = []
        self.created: list[Run] = []

    async def take(self, step: str, number: int) -> None:
        """`number` chooses the record, or the variant of the step."""
        method: Callable[[int], Awaitable[None]] = getattr(self, f"_{step}")
        with suppress(SlipwayError):  # the record that the number chooses cannot be changed in this way
            await method(number)

    def _spec(self, thread_id: str, number: int, **differs: Any) -> Any:
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
                value_terms="",
                interrupts=b"{}",
                status="idle",
                checkpoint_id=None,
                event_ttl_s=60,
            )


def _chosen(runs: Sequence[Run], number: int) -> Run:
    return runs[-1 - number % len(runs)]


async def stored_runs(stores: Stores) -> list[Run]:
    """All runs whose thread exists."""
    runs = []
    for key in await stores.pipeline.send("KEYS", f"{stores.keys.prefix}:run:*"):
        if stores.keys.id_in("run", key.decode()) is None:
            continue
        fields = fields_of(await stores.pipeline.send("HGETALL", key))
        if await stores.pipeline.send("EXISTS", stores.keys.thread(fields["thread_id"].decode())):
            runs.append(run_from(fields))
    return runs


def names_of(run: Run) -> set[str]:
    """The names of the sets that must have the run."""
    names = {UNFINISHED if run.phase in UNFINISHED_PHASES else run.phase.value, assistant_term(run.assistant_id)}
    if run.assistant_id != system_id(run.graph_id):
        names.add(other_assistants_term(run.graph_id))
    if run.user is not None:
        names.add(owner_term(run.user["identity"]))
    if run.phase is Phase.FAILED:
        assert run.reason is not None  # the code of the error
        names.add(error_term(run.reason))
    return names


async def stored_indexes(stores: Stores) -> dict[str, dict[str, int]]:
    """By name of the set: its members with their scores."""
    prefix, indexes = stores.keys.runs_with(""), {}
    for key in await stores.pipeline.send("KEYS", f"{prefix}*"):
        flat = await stores.pipeline.send("ZRANGE", key, 0, -1, "WITHSCORES")
        scores = zip(flat[::2], flat[1::2], strict=True)
        indexes[key.decode().removeprefix(prefix)] = {run_id.decode(): int(float(score)) for run_id, score in scores}
    return indexes


def expected_indexes(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    indexes: dict[str, dict[str, int]] = defaultdict(dict)
    for run in runs:
        for name in names_of(run):
            indexes[name][run.run_id] = int(run.incarnation)
    return dict(indexes)


@pytest.mark.parametrize("seed", range(3))
async def test_the_indexes_name_the_stored_runs(stores: Stores, seed: int) -> None:
    random = Random(seed)
    history = History(stores)
    phases: set[Phase] = set()
    for _ in range(40):
        for step in random.choices(list(STEPS), list(STEPS.values()), k=15):
            await history.take(step, random.randrange(12))
        runs = await stored_runs(stores)
        assert await stored_indexes(stores) == expected_indexes(runs)
        phases |= {run.phase for run in runs}
    assert phases == set(Phase) - {Phase.PAUSED}


async def test_a_run_without_attempts_left_is_indexed_by_its_error(stores: Stores) -> None:
    run = await stores.create_run(ceilings={"max_attempts": 1})
    await stores.claim_one()
    await stores.reap()
    assert (await stores.phase_of(run)) is Phase.FAILED
    assert await stored_indexes(stores) == expected_indexes(await stored_runs(stores))


async def test_no_index_names_a_retained_run(stores: Stores) -> None:
    """Its record expires, and no script would remove it then."""
    spec = new_run(new_id(), options={"temporary": True}, create_thread=True, own_thread=True, retain_s=60)
    await stores.create(spec)
    await stores.settle(await stores.claim_one(lease_ms=LEASE_MS))
    assert await stores.pipeline.send("PTTL", stores.keys.run(spec.identity.run_id)) > 0
    assert await stored_indexes(stores) == {}
