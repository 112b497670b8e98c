"""Any exception of a graph, raised anywhere, fails the run in its first attempt. No node is executed again."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import AsyncCallbackHandler, AsyncCallbackManager, BaseCallbackHandler

from slipway import failpoints
from slipway.exception_text import LONGEST_TEXT, class_name, exception_being_handled, message_of, repr_of, traceback_of
from slipway.execution.contained_errors import GraphRaised, contain_errors
from slipway.graphs.registry import Registry
from slipway.runs.record import Phase, Run
from slipway.serialization.json_encoding import dumps
from slipway.serialization.serde import Serde
from tests.runs.conftest import Stores
from tests.runs.executions import execute_next, execution_of
from tests.runs.project.hostile import KINDS, OBJECTS

MODES = ["values", "updates", "tasks", "debug", "checkpoints", "messages-tuple", "custom", "lifecycle"]
SHAPES = [
    *("alone", "in_thread", "beside", "inside", "retried", "own_task", "raise_in_task"),
    *("in_edge", "in_edge_beside", "in_async_edge_beside", "in_reducer"),
]
CANCELLING = [
    *("cancel_alone", "cancel_beside", "cancel_inside", "cancel_in_task", "cancel_in_edge", "cancel_in_reducer"),
    *("cancel_runnable", "cancel_runnable_beside"),
]
REPLACED = {
    "CancelledError": {"NodeCancelledError", "CancelledError"},
    "CausesRaise": {"CausesRaise", "AttributeError"},
    "GeneratorExit": {"GeneratorExit", "RuntimeError"},
    "StopIteration": {"RuntimeError"},
    "StopAsyncIteration": {"RuntimeError", "StopAsyncIteration"},
}
"""Exception to the names of those that Python or LangGraph raises in its channel."""
CODES = {"Fenced": "attempt.fenced"}


@pytest.fixture(scope="session")
def effects(graphs: Registry) -> Any:
    """Thread id to how often each node did its work."""
    return graphs.load_object("./hostile.py:effects")


async def _run_to_end(stores: Stores, graphs: Registry, graph_id: str, **differs: Any) -> Run:
    await stores.create_run(graph_id=graph_id, **differs)
    return await execute_next(stores, graphs)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_exception_of_a_graph_fails_the_run_in_its_first_attempt(
    stores: Stores, graphs: Registry, effects: dict[str, Counter[str]], kind: str, shape: str
) -> None:
    run = await _run_to_end(
        stores, graphs, shape, options={"input": {"kind": kind}, "stream_mode": MODES, "subgraphs": True}
    )
    assert (run.phase, run.attempt, run.status) == (Phase.FAILED, 1, "error")
    assert run.error is not None
    assert run.error["code"] == CODES.get(kind, "node.failed")
    assert run.error["error"] in REPLACED.get(kind, {kind})
    assert len(run.error["message"]) < 10_000
    assert effects[run.thread_id]["raise"] == (3 if (kind, shape) == ("ValueError", "retried") else 1)
    thread = await stores.thread_of(run)
    assert thread.status == "error"
    assert thread.error is not None
    log = await stores.log_of(run)
    assert [event.name for event in log][-2:] == ["error", "end"]
    for event in log:
        orjson.loads(event.data)
    assert sum(len(event.block) for event in log) < 200_000


@pytest.mark.parametrize("end", ["waits", "returns"])
@pytest.mark.parametrize("shape", CANCELLING)
async def test_a_node_that_cancels_its_own_task_fails_the_run(
    stores: Stores, graphs: Registry, effects: dict[str, Counter[str]], shape: str, end: str
) -> None:
    run = await _run_to_end(
        stores, graphs, shape, options={"input": {"kind": end}, "stream_mode": MODES, "subgraphs": True}
    )
    assert (run.phase, run.attempt, run.status) == (Phase.FAILED, 1, "error")
    assert run.error is not None
    assert run.error["code"] == "node.failed"
    assert run.error["error"] in REPLACED["CancelledError"]
    assert effects[run.thread_id]["cancel"] == 1
    assert [event.name for event in await stores.log_of(run)][-2:] == ["error", "end"]


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("channel", ["custom", "interrupt", "message", "state"])
async def test_an_object_that_cannot_be_encoded_uses_no_second_attempt(
    stores: Stores, graphs: Registry, effects: dict[str, Counter[str]], name: str, channel: str
) -> None:
    options = {"input": {"kind": name, "log": [channel]}, "stream_mode": MODES}
    run = await _run_to_end(stores, graphs, "writes_object", options=options)
    assert run.attempt == 1
    assert run.phase in (Phase.FAILED, Phase.COMPLETED, Phase.WAITING_FOR_APPROVAL)
    assert effects[run.thread_id]["write"] == 1
    for event in await stores.log_of(run):
        orjson.loads(event.data)


async def test_an_unexpected_exception_before_the_settle_fails_the_run(
    stores: Stores, graphs: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_lookup_error(*_: Any) -> Any:
        raise LookupError("a fault in Slipway")

    monkeypatch.setattr("slipway.execution.settle_or_release.summary_from_stream", raise_lookup_error)
    run = await _run_to_end(stores, graphs, "steps")
    assert run.error is not None
    assert (run.phase, run.attempt, run.error["error"]) == (Phase.FAILED, 1, "LookupError")
    monkeypatch.setattr(failpoints, "reach", lambda name: raise_lookup_error() if name == "before_settle" else None)
    run = await _run_to_end(stores, graphs, "steps")
    assert run.error is not None
    assert (run.phase, run.attempt, run.error["error"]) == (Phase.FAILED, 1, "LookupError")


async def test_a_node_that_raises_system_exit_does_not_affect_other_runs(stores: Stores, graphs: Registry) -> None:
    exiting = [await stores.create_run(graph_id="beside", options={"input": {"kind": "SystemExit"}}) for _ in range(4)]
    healthy = await stores.create_run(graph_id="steps")
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for run in await stores.claim():
            group.create_task(execution_of(stores, graphs, run).execute())
    assert await stores.phase_of(healthy) is Phase.COMPLETED
    for run in exiting:
        assert await stores.phase_of(run) is Phase.FAILED


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_a_task_that_exits_while_it_is_cancelled_raises_an_ordinary_error(kind: type[BaseException]) -> None:
    async def exit_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise kind from None

    contain_errors()
    exiting = asyncio.create_task(exit_when_cancelled())
    await asyncio.sleep(0)
    exiting.cancel()
    with pytest.raises(GraphRaised) as caught:
        await exiting
    assert type(caught.value.raised) is kind


@pytest.mark.filterwarnings("error")
async def test_a_task_that_is_cancelled_before_it_starts_executes_nothing() -> None:
    executed = []

    async def work() -> None:
        executed.append("work")

    contain_errors()
    coroutine = work()
    task = asyncio.create_task(coroutine, name="work")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert executed == []
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED


@pytest.mark.parametrize("handled", [True, False])
async def test_the_end_of_a_chain_is_reported_to_its_handlers(handled: bool) -> None:
    ended = []

    class Ends(AsyncCallbackHandler):
        async def on_chain_end(self, outputs: Any, **_: Any) -> None:
            await asyncio.sleep(0)
            ended.append(outputs)

    contain_errors(omit_empty_tasks=True)
    handlers: list[BaseCallbackHandler] = [Ends()] if handled else []
    manager = await AsyncCallbackManager(handlers).on_chain_start(None, {})
    await manager.on_chain_end({"text": "!"})
    assert ended == ([{"text": "!"}] if handled else [])


@pytest.mark.parametrize("with_cause", [True, False])
def test_an_exception_that_was_raised_from_another_is_the_reported_one(with_cause: bool) -> None:
    caught = LookupError()
    try:
        try:
            raise caught
        except LookupError:
            raise ValueError from (caught if with_cause else None)
    except ValueError as raised:
        if not with_cause:
            raised.__cause__ = None
        handled = exception_being_handled(raised, str(Path(__file__).parent))
    assert handled is (None if with_cause else caught)


@pytest.mark.parametrize("kind", KINDS)
def test_every_exception_can_be_encoded_as_text(kind: str) -> None:
    error = KINDS[kind]()
    texts = (message_of(error), repr_of(error), class_name(error))
    assert all(type(text) is str and len(text) < LONGEST_TEXT + 100 for text in texts)
    assert class_name(error) in traceback_of(error)
    orjson.loads(dumps({"error": error, "in": [error, {"it": error}]}))
    assert isinstance(Serde().loads(Serde().dumps(error)), str)


@given(st.text(alphabet=st.characters(), max_size=50), st.integers(0, 3))
def test_any_text_of_an_exception_can_be_stored(text: str, depth: int) -> None:
    error: Exception = ValueError(text)
    for _ in range(depth):
        error = ExceptionGroup(text, [error, RuntimeError(text)])
    assert orjson.loads(dumps(message_of(error)))
    orjson.loads(dumps(error))
    Serde().loads(Serde().dumps(error))


def test_a_shortened_text_names_the_number_of_missing_characters() -> None:
    text = message_of(ValueError("x" * (LONGEST_TEXT + 7)))
    assert text.endswith("x… (7 more characters)")
