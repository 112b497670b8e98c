"""Where stored threads are, read without their graphs, on both checkpointers. LangGraph's own answer is the truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.channels import LastValue
from langgraph.graph import StateGraph
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.types import Command
from typing_extensions import TypedDict

from slipway.checkpoints.base_checkpointer import BaseCheckpointer, StoredWrite
from slipway.checkpoints.core_checkpointer import CoreCheckpointer
from slipway.checkpoints.interrupt_answers import MARK, NULL_TASK
from slipway.checkpoints.reads import CheckpointReads
from slipway.graphs.read_structure import structure_of
from slipway.graphs.structure import GraphStructure
from slipway.graphs.verdict import PendingTask, Position, VerdictKind
from slipway.graphs.verdicts import verdict_of
from slipway.redis.keys import Keys
from slipway.redis.pipeline import Pipeline
from slipway.serialization.encryption import Encryption
from slipway.serialization.serde import Serde
from slipway.thread_positions.reader import PositionReader
from slipway.thread_positions.task_paths import TaskPath, task_path
from tests.checkpoints.position_graphs import (
    Fault,
    fail,
    fan_out,
    flow,
    join,
    journal,
    nested,
    question,
    two_questions,
)
from tests.shards import shards_of

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t"}}
START: Any = {"amount": 5, "log": []}

with_and_without_structure = pytest.mark.parametrize("is_known", [True, False], ids=["structure", "no structure"])


async def position_of(saver: BaseCheckpointer, graph: Any, is_known: bool = True) -> Position:
    """The position of the thread. What is next is what LangGraph says."""
    structure: GraphStructure | None = structure_of(graph) if is_known else None
    position = await PositionReader(saver).read("t", structure)
    state = await graph.aget_state(CONFIG)
    next_now = [task.node for task in position.tasks if not task.finished and (task.triggers or task.is_send)]
    assert sorted(node for node in next_now if node in state.next) == sorted(state.next)
    return position


def by_node(position: Position) -> dict[str, PendingTask]:
    return {task.node: task for task in position.tasks}


async def test_a_thread_without_checkpoints_is_nowhere(saver: BaseCheckpointer) -> None:
    assert await PositionReader(saver).read("t", None) == Position()


@with_and_without_structure
async def test_a_thread_between_two_runs_has_values_and_no_tasks(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = question(saver)
    await graph.ainvoke(START, CONFIG)
    await graph.ainvoke(Command(resume="yes"), CONFIG)
    position = await position_of(saver, graph, is_known)
    assert position.is_idle
    assert position.channels == {"amount", "log", "answer"}
    assert position.empty == frozenset()


@with_and_without_structure
async def test_a_node_asks(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = question(saver)
    await graph.ainvoke({"amount": 5, "log": [], "answer": ""}, CONFIG)
    position = await position_of(saver, graph, is_known)
    assert position.tasks == (PendingTask("review", ("branch:to:review",), interrupted=True),)
    assert position.channels == {"amount", "log", "answer"}
    assert position.empty == {"answer"}
    assert position.before_input().is_idle


@with_and_without_structure
async def test_a_static_breakpoint_is_before_a_node_that_has_not_started(
    saver: BaseCheckpointer, is_known: bool
) -> None:
    graph = question(saver, interrupt_before=["pay"])
    await graph.ainvoke(START, CONFIG)
    await graph.ainvoke(Command(resume="yes"), CONFIG)
    position = await position_of(saver, graph, is_known)
    assert position.tasks == (PendingTask("pay", ("branch:to:pay",)),)


@with_and_without_structure
async def test_an_answer_of_a_node_that_asks_again_is_stored(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = two_questions(saver)
    await graph.ainvoke(START, CONFIG)
    await graph.ainvoke(Command(resume="a"), CONFIG)
    position = await position_of(saver, graph, is_known)
    assert position.tasks == (PendingTask("review", ("branch:to:review",), interrupted=True, started=True),)


@with_and_without_structure
async def test_a_task_that_finished_names_what_follows_it(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = join(saver)
    await graph.ainvoke(START, CONFIG)
    position = await position_of(saver, graph, is_known)
    tasks = by_node(position)
    assert tasks["quick"].finished
    assert tasks["slow"].interrupted
    assert tasks["after"] == PendingTask("after", ("branch:to:after",), follows=True)
    assert position.waiting_joins == {"join:quick+slow:both": ["quick"]}
    assert "log" in position.channels


@with_and_without_structure
async def test_a_node_that_failed_is_next(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = join(saver, fail)
    with pytest.raises(Fault):
        await graph.ainvoke(START, CONFIG)
    tasks = by_node(await position_of(saver, graph, is_known))
    assert tasks["slow"] == PendingTask("slow", ("branch:to:slow",))


@with_and_without_structure
async def test_a_join_that_is_complete_starts_its_node(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = join(saver)
    graph.interrupt_before_nodes = ["both"]
    await graph.ainvoke(START, CONFIG)
    await graph.ainvoke(Command(resume="yes"), CONFIG)
    position = await position_of(saver, graph, is_known)
    assert by_node(position)["both"] == PendingTask("both", ("join:quick+slow:both",))
    assert position.waiting_joins == {}


@with_and_without_structure
async def test_sends_finished_and_interrupted(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = fan_out(saver)
    await graph.ainvoke(START, CONFIG)
    position = await position_of(saver, graph, is_known)
    assert [(task.node, task.is_send, task.finished, task.interrupted) for task in position.tasks] == [
        ("check", True, True, False),
        ("check", True, False, True),
        ("check", True, True, False),
    ]


@with_and_without_structure
@pytest.mark.parametrize("keeps", [False, True], ids=["state of one call", "state that is kept"])
async def test_a_question_two_subgraphs_below(saver: BaseCheckpointer, keeps: bool, is_known: bool) -> None:
    graph = nested(saver, keeps=keeps)
    await graph.ainvoke(START, CONFIG)
    task = by_node(await position_of(saver, graph, is_known))["decide"]
    assert task.interrupted
    if keeps and not is_known:  # nothing says that these subgraphs keep their states
        return
    assert task.inside is not None
    assert task.inside.tasks[0].inside is not None
    innermost = task.inside.tasks[0].inside
    assert innermost.tasks == (PendingTask("ask", ("branch:to:ask",), interrupted=True),)
    assert {"amount", "log"} <= innermost.channels


async def test_the_namespace_of_a_subgraph_that_has_asked_nothing_is_found(saver: BaseCheckpointer) -> None:
    graph = nested(saver, fail)
    with pytest.raises(Fault):
        await graph.ainvoke(START, CONFIG)
    task = by_node(await position_of(saver, graph))["decide"]
    assert task.started
    assert task.inside is not None
    assert task.inside.tasks[0].inside is not None
    assert task.inside.tasks[0].inside.tasks == (PendingTask("ask", ("branch:to:ask",)),)


async def test_a_subgraph_that_keeps_its_state_is_found_between_two_runs(saver: BaseCheckpointer) -> None:
    graph = nested(saver, keeps=True)
    await graph.ainvoke(START, CONFIG)
    await graph.ainvoke(Command(resume="yes"), CONFIG)
    position = await position_of(saver, graph)
    assert position.is_idle
    assert position.subgraphs["decide"].subgraphs["desk"].channels == {"amount", "log", "answer"}


@with_and_without_structure
async def test_an_entrypoint_has_results_of_tasks_and_asks(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = flow(saver)
    await graph.ainvoke({"amount": 5}, CONFIG)
    position = await position_of(saver, graph, is_known)
    assert position.tasks == (PendingTask("desk", ("__start__",), interrupted=True, started=True),)


@with_and_without_structure
async def test_a_run_that_has_stored_its_input_only(saver: BaseCheckpointer, is_known: bool) -> None:
    graph = question(saver)
    graph.interrupt_before_nodes = ["__start__"]
    await graph.ainvoke(START, CONFIG)
    position = await position_of(saver, graph, is_known)
    assert position.tasks == (PendingTask("__start__", ("__start__",)),)


async def test_many_positions_keep_their_order(saver: BaseCheckpointer) -> None:
    graph = question(saver)
    for number in range(5):
        await graph.ainvoke(START, {"configurable": {"thread_id": f"t{number}"}})
    threads = [(name, structure_of(graph)) for name in ("t0", "none", "t4")]
    positions = await PositionReader(saver).read_many(threads)
    assert [len(position.tasks) for position in positions] == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("~__pregel_pull, review", TaskPath("review", None, False)),
        ("~__pregel_pull, a, b", TaskPath("a, b", None, False)),
        ("~__pregel_pull, review, node_error_handler, 0000000000", TaskPath("review", None, False)),
        ("~__pregel_push, 0000000012, 0000000000", TaskPath(None, 12, False)),
        ("~__pregel_push, ~__pregel_pull, desk, 0000000000, 0000000001", TaskPath("desk", None, True)),
        (
            "~__pregel_push, ~__pregel_push, ~__pregel_pull, desk, 0000000000, 0000000001, 0000000002, 0000000001",
            TaskPath("desk", None, True),
        ),
        (
            "~__pregel_push, ~__pregel_push, 0000000003, 0000000000, 0000000000, 0000000001",
            TaskPath(None, 3, True),
        ),
        ("", None),
        ("other", None),
    ],
)
def test_the_task_of_a_write_is_read_from_its_path(text: str, expected: TaskPath | None) -> None:
    assert task_path(text) == expected


KEY = "7d3c4a1f0b2e5968" * 4


@pytest.mark.parametrize("graph_of", [question, join, fan_out, nested, flow, journal], ids=lambda each: each.__name__)
@pytest.mark.parametrize("is_encrypted", [False, True], ids=["plain", "encrypted"])
async def test_a_head_without_large_values_says_the_same_as_the_whole_checkpoint(
    pipeline: Pipeline, keys: Keys, graph_of: Any, is_encrypted: bool
) -> None:
    core = CoreCheckpointer(
        pipeline, shards_of(keys), serde=Serde(encryption=Encryption.from_text(KEY) if is_encrypted else None)
    )
    graph = graph_of(core)
    await graph.ainvoke({"amount": 5, "log": [], "answer": "", "text": "x" * 5000}, CONFIG)
    namespaces = {key.partition(b"\0")[0].decode() for key in await CheckpointReads(pipeline, keys).members("t")}
    for namespace in namespaces:
        head, complete = await core.head("t", namespace), await BaseCheckpointer.head(core, "t", namespace)
        assert head is not None
        assert complete is not None
        own = {name: value for name, value in complete.own_values.items() if not name.startswith("branch:")}
        assert replace(complete, own_values=own) == head
        assert "log" in head.channels or graph_of is flow


async def test_a_mark_of_a_used_answer_is_no_value(core: CoreCheckpointer) -> None:
    graph = two_questions(core)
    await graph.ainvoke(START, CONFIG)
    found = await core.latest("t")
    assert found is not None
    stored = StoredWrite(NULL_TASK, "", -4, MARK, "a run")
    await core.put_stored_writes(found.config, [stored])
    position = await position_of(core, graph, is_known=False)
    assert position.channels == {"amount", "log"}
    assert verdict_of(None, structure_of(graph), position).kind is VerdictKind.CONTINUE


async def test_a_node_that_has_seen_a_channel_which_keeps_its_value_is_not_next(saver: BaseCheckpointer) -> None:
    node = NodeBuilder().subscribe_only("amount").do(lambda amount: amount + 1).write_to("total")
    graph: Any = Pregel(
        nodes={"count": node},
        channels={"amount": LastValue(int), "total": LastValue(int)},
        input_channels=["amount"],
        output_channels=["total"],
        checkpointer=saver,
    )
    await graph.ainvoke({"amount": 5}, CONFIG, interrupt_before=["count"])
    assert [task.node for task in (await position_of(saver, graph)).tasks] == ["count"]
    await graph.ainvoke(None, CONFIG)
    position = await position_of(saver, graph)
    assert position.is_idle
    assert position.channels == {"amount", "total"}


class Note(TypedDict, total=False):
    note: str


class Memory(Note, total=False):
    visits: int


def with_memory(saver: BaseCheckpointer, memory: type[Note], found: list[int]) -> Any:
    """A subgraph that keeps a state of its own, and counts its calls."""

    def visit(state: Any) -> Any:
        found.append(state.get("visits", 0))
        return {"visits": found[-1] + 1}

    inner = StateGraph(memory).add_node("visit", visit).add_edge("__start__", "visit")
    outer = StateGraph(Note).add_node("memory", inner.compile(checkpointer=True)).add_edge("__start__", "memory")
    return outer.compile(saver)


async def test_a_subgraph_is_where_it_was_at_a_checkpoint_that_is_executed_again(saver: BaseCheckpointer) -> None:
    """A later version does not have the channel to which the subgraph has written only then."""
    found: list[int] = []
    graph = with_memory(saver, Memory, found)
    for note in ("first", "second"):
        await graph.ainvoke({"note": note}, CONFIG, durability="sync")
    structure, new = structure_of(graph), structure_of(with_memory(saver, Note, []))
    verdicts: list[tuple[VerdictKind, ...]] = []
    starts = [state.config async for state in graph.aget_state_history(CONFIG) if state.next == ("memory",)]
    for config in reversed(starts):
        checkpoint = await saver.aget_tuple(config)
        assert checkpoint is not None
        read = [
            await PositionReader(saver).read_at(checkpoint, structure, replays=replays) for replays in (True, False)
        ]
        verdicts.append(tuple(verdict_of(structure, new, position).kind for position in read))
        await graph.ainvoke(None, config)
    assert found == [0, 1, 0, 1], "LangGraph begins with the state that the subgraph had before the checkpoint"
    assert verdicts == [(VerdictKind.CONTINUE, VerdictKind.HOLD), (VerdictKind.HOLD, VerdictKind.HOLD)]
