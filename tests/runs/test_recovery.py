"""A worker dies after each of its groups of writes: the next attempt goes on, and nothing happens twice.

The attempt that dies is a real one whose writes stop to arrive: from its k-th group on nothing reaches Redis.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from slipway.errors import StoreUnavailable
from slipway.execution.execution import Execution
from slipway.graphs.registry import Registry
from slipway.redis.redis_commands import RedisCommand
from slipway.runs.attempt import DEFAULT_LIMITS, Attempt, SendLimits
from slipway.runs.cancel_reasons import Action
from slipway.runs.events import Event
from slipway.runs.record import Phase, Run
from slipway.runs.script_results import SettleResult
from slipway.runs.scripts import RunScripts
from slipway.serialization.json_encoding import dumps
from tests.runs.conftest import TTL_S, Stores

STATE = ("value", "until", "size", "log", "answers")
DURABILITIES = ["async", "sync", "exit"]


class DyingScripts(RunScripts):
    """RunScripts of a worker that is cut off for good after so many groups."""

    def __init__(self, stores: Stores, lives_for: int) -> None:
        super().__init__(stores.pipeline, stores.keys)
        self._left = lives_for
        self.died = False

    def cut(self) -> None:
        """Nothing lands from now on."""
        self._left = 0

    def run_apply(
        self,
        run_id: str,
        incarnation: str,
        attempt: int,
        seq: int,
        entries: Sequence[tuple[str, bytes]],
        commands: Sequence[RedisCommand],
    ) -> asyncio.Future[Any]:
        if self._left == 0:
            self.died = True
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            answer.set_exception(StoreUnavailable("cut off"))
            return answer
        self._left -= 1
        return super().run_apply(run_id, incarnation, attempt, seq, entries, commands)

    async def run_settle(self, arguments: Any, commands: Sequence[RedisCommand]) -> SettleResult:
        if self._left == 0:
            self.died = True
            raise StoreUnavailable("cut off")
        return await super().run_settle(arguments, commands)


def execution(
    stores: Stores,
    graphs: Registry,
    run: Run,
    scripts: RunScripts | None = None,
    *,
    limits: SendLimits = DEFAULT_LIMITS,
) -> Execution:
    """An attempt as a worker creates it."""
    attempt = Attempt(scripts or stores.scripts, run, limits=limits)
    return Execution(attempt, graphs, stores.checkpointer, stores.keys, event_ttl_s=TTL_S)


async def die_after(
    stores: Stores, graphs: Registry, run: Run, groups: int, *, limits: SendLimits = DEFAULT_LIMITS
) -> bool:
    """Execute until `groups` groups have landed. False when the run ended before that."""
    scripts = DyingScripts(stores, groups)
    await execution(stores, graphs, run, scripts, limits=limits).execute()
    if scripts.died:
        await stores.reap()
    return scripts.died


async def finish(stores: Stores, graphs: Registry, *, limits: SendLimits = DEFAULT_LIMITS) -> Run:
    """The next attempt, to its end."""
    run = await stores.claim_one()
    await execution(stores, graphs, run, limits=limits).execute()
    return await stores.now(run)


def shown(log: Sequence[Event]) -> list[str]:
    """The states that clients saw, in order; ids of interrupts are those of their checkpoints, which differ."""
    frames = [event.block.partition(b"id: ")[0].decode() for event in log if event.name == "values"]
    return [re.sub(r'"id":"[0-9a-f]{32}"', "", frame) for frame in frames]


async def kept(stores: Stores, run: Run) -> list[str]:
    """The values of the log's states that a checkpoint of the run holds, as JSON."""
    config: Any = {"configurable": {"thread_id": run.thread_id, "checkpoint_ns": ""}}
    found = []
    async for checkpoint in stores.checkpointer.alist(config):
        if checkpoint.metadata.get("run_id") == run.run_id and checkpoint.metadata.get("source") == "loop":
            values = checkpoint.checkpoint["channel_values"]
            found.append(dumps({name: values[name] for name in STATE if name in values}).decode())
    return found


Request = dict[str, Any]
EACH = object()

PLAIN: dict[str, tuple[str, Request]] = {
    "plain": ("steps", {"input": {"value": 1, "log": ["given"]}}),
    "fan-out": ("fan", {"input": {"value": 1, "log": ["given"]}}),
    "loop": ("loop", {"input": {"value": 0, "until": 6, "log": ["given"]}}),
}

ANSWERS: dict[str, tuple[str, Request]] = {
    "resume": ("ask", {"command": {"resume": "yes"}, "input": None}),
    "resume with update": ("ask", {"command": {"resume": "yes", "update": {"log": ["told"]}}, "input": None}),
    "update": ("ask", {"command": {"update": {"log": ["told"]}}, "input": None}),
    "goto": ("ask", {"command": {"goto": "two", "update": {"log": ["told"]}}, "input": None}),
    "no input": ("ask", {"input": None}),
    "other input": ("ask", {"input": {"value": 7, "log": ["again"]}}),
}


async def _outcome(stores: Stores, run: Run, thread_id: str) -> dict[str, Any]:
    thread = await stores.threads.get(thread_id)
    interrupts = [[item["value"] for item in items] for items in thread.interrupts.values()]
    return {"phase": run.phase, "values": thread.values, "status": thread.status, "interrupts": interrupts}


async def _prepared(stores: Stores, graphs: Registry, graph_id: str, asked: bool) -> str:
    thread_id = await stores.thread()
    if asked:
        await stores.run(thread_id, graph_id=graph_id, options={"input": {"value": 1, "log": ["given"]}})
        assert (await finish(stores, graphs)).phase is Phase.WAITING_FOR_APPROVAL
    return thread_id


async def _request(stores: Stores, thread_id: str, request: Request) -> Request:
    """The request, with `EACH` replaced by answers that name the thread's interrupts."""
    if request.get("command", {}).get("resume") is not EACH:
        return request
    thread = await stores.threads.get(thread_id)
    ids = [item["id"] for items in thread.interrupts.values() for item in items]
    return request | {"command": {"resume": {ident: f"answer {number}" for number, ident in enumerate(ids)}}}


async def _check(stores: Stores, graphs: Registry, graph_id: str, request: Request, *, asked: bool) -> None:
    """Whatever group was the last to land: the same end as without a death."""
    thread_id = await _prepared(stores, graphs, graph_id, asked)
    calm = await stores.run(thread_id, graph_id=graph_id, options=await _request(stores, thread_id, request))
    expected = await _outcome(stores, await finish(stores, graphs), thread_id)
    states = shown(await stores.log(calm))
    for groups in range(100):
        thread_id = await _prepared(stores, graphs, graph_id, asked)
        made = await stores.run(thread_id, graph_id=graph_id, options=await _request(stores, thread_id, request))
        if not await die_after(stores, graphs, await stores.claim_one(), groups):
            return
        was_kept = await kept(stores, made)
        came = await _outcome(stores, await finish(stores, graphs), thread_id)
        assert came == expected, f"after {groups} groups"
        log = await stores.log(made)
        questions = [event.block.partition(b"id: ")[0] for event in log if b"__interrupt__" in event.block]
        assert len(questions) == len(set(questions)), f"asked twice after {groups} groups"
        seen = Counter(shown(log))
        assert set(seen) == set(states), f"after {groups} groups"
        for state in states:
            twice = seen[state] > states.count(state)
            assert not (twice and any(one in state for one in was_kept)), f"after {groups} groups"
    raise AssertionError("never ended")


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", PLAIN)
async def test_a_death_changes_nothing_of_a_fresh_run(
    stores: Stores, graphs: Registry, kind: str, durability: str
) -> None:
    graph_id, request = PLAIN[kind]
    await _check(stores, graphs, graph_id, request | {"durability": durability}, asked=False)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_death_changes_nothing_of_a_run_that_goes_on(
    stores: Stores, graphs: Registry, kind: str, durability: str
) -> None:
    graph_id, request = ANSWERS[kind]
    await _check(stores, graphs, graph_id, request | {"durability": durability}, asked=True)


async def test_a_death_does_not_answer_a_second_question_with_the_first_answer(
    stores: Stores, graphs: Registry
) -> None:
    await _check(stores, graphs, "talk", {"command": {"resume": "a"}, "input": None}, asked=True)


@pytest.mark.parametrize("durability", DURABILITIES)
@pytest.mark.parametrize("graph_id", ["ask", "talk", "inner_talk", "talks"])
async def test_a_death_does_not_answer_a_later_question_with_an_answer_that_named_an_earlier_one(
    stores: Stores, graphs: Registry, graph_id: str, durability: str
) -> None:
    request = {"command": {"resume": EACH}, "input": None, "durability": durability}
    await _check(stores, graphs, graph_id, request, asked=True)


async def test_a_run_that_is_cancelled_between_two_attempts_executes_nothing(stores: Stores, graphs: Registry) -> None:
    run = await stores.run(await stores.thread())
    assert await die_after(stores, graphs, await stores.claim_one(), 0)
    effects: Any = graphs.attribute("./graphs.py:effects")
    before = dict(effects[run.thread_id])
    await stores.runs.cancel(run.thread_id, run.run_id, Action.INTERRUPT)
    assert (await finish(stores, graphs)).phase is Phase.CANCELLED
    assert dict(effects[run.thread_id]) == before
