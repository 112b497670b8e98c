"""Translation of log entries to events, for logs that a running graph does not produce on demand."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.event_protocol.agent_tree import AgentTree
from slipway.event_protocol.event_filters import EventFilter
from slipway.event_protocol.protocol_event import ProtocolEvent, base_number
from slipway.event_protocol.run_translator import MODES, RunTranslator, TranslatedRun
from slipway.runs.events import Event
from slipway.serialization.json_encoding import dumps

STARTED_MS = 1_000


def entry(number: int, name: str, data: Any, result: bytes | None = None) -> Event:
    block = b"event: %b\r\ndata: %b\r\nid: 1-1\r\n\r\n" % (name.encode(), dumps(data))
    return Event(f"2000-{number}", (2000, number), name, block, result)


def translated(*entries: tuple[str, Any], ordinal: int = 3, **fields: Any) -> list[ProtocolEvent]:
    """The events of a complete log."""
    translator = RunTranslator(TranslatedRun(ordinal, "r1", "talk", STARTED_MS, modes=frozenset(MODES), **fields))
    logged = [entry(number, name, data) for number, (name, data) in enumerate(entries)]
    return [event for log_entry in logged for event in translator.apply(log_entry)]


FIRST_ATTEMPT = ("metadata", {"run_id": "r1", "attempt": 1})
SECOND_ATTEMPT = ("metadata", {"run_id": "r1", "attempt": 2})
END = ("end", {"run_id": "r1", "status": "success"})


def chunk(message_id: str, text: str, node: str = "say") -> tuple[str, Any]:
    message = {"type": "AIMessageChunk", "id": message_id, "content": text}
    return "messages", [
        message,
        {"langgraph_node": node, "langgraph_checkpoint_ns": f"{node}:1", "ls_model_type": "chat"},
    ]


def test_an_incomplete_message_of_a_dead_attempt_ends_with_an_error() -> None:
    events = translated(FIRST_ATTEMPT, chunk("a", "hal"), SECOND_ATTEMPT, chunk("b", "half"), END)
    emitted = [(event.data["id"], event.data["event"]) for event in events if event.method == "messages"]
    start = ["message-start", "content-block-start", "content-block-delta"]
    ends = ["content-block-finish", "message-finish"]
    assert emitted == [("a", name) for name in [*start, "error"]] + [("b", name) for name in start + ends]
    assert [event.data["event"] for event in events if event.method == "lifecycle"] == ["running", "completed"]


def test_entries_that_cannot_be_translated_are_skipped_and_take_no_number() -> None:
    events = translated(
        FIRST_ATTEMPT, ("messages", "nonsense"), ("updates", [1]), ("values", {"a": 1}), ("custom", "x"), END
    )
    assert [event.method for event in events] == ["lifecycle", "values", "custom", "lifecycle"]
    assert [event.seq - base_number(3) for event in events] == [1, 2, 3, 4]


def test_the_empty_last_chunk_of_a_message_starts_no_message() -> None:
    name, (message, metadata) = chunk("of the call", "")
    closing = (name, [message | {"chunk_position": "last"}, metadata])
    events = translated(FIRST_ATTEMPT, chunk("of the model", "word"), closing, END)
    assert [event.data["id"] for event in events if event.data["event"] == "message-start"] == ["of the model"]


def test_concurrent_messages_are_separated_by_node_and_id() -> None:
    events = translated(FIRST_ATTEMPT, chunk("a", "1", "one"), chunk("b", "2", "two"), chunk("a", "3", "one"), END)
    deltas = [(event.node, event.data["id"], event.data["delta"]["text"]) for event in events if "delta" in event.data]
    assert deltas == [("one", "a", "1"), ("two", "b", "2"), ("one", "a", "3")]


@pytest.mark.parametrize(
    "ending",
    [
        {"type": "AIMessageChunk", "content": "", "chunk_position": "last"},
        {"type": "ai", "content": [{"type": "text", "text": "hello you"}]},
        {"type": "ai", "content": "hello you"},
    ],
    ids=["last chunk", "complete in blocks", "complete"],
)
def test_a_message_whose_last_part_has_another_id_is_one_message(ending: dict[str, Any]) -> None:
    _, (_, metadata) = chunk("own", "")
    events = translated(
        FIRST_ATTEMPT,
        chunk("own", "hello "),
        chunk("own", "you"),
        ("messages", [{**ending, "id": "call"}, metadata]),
        END,
    )
    emitted = [(event.data["id"], event.data["event"]) for event in events if event.method == "messages"]
    names = (
        "message-start",
        "content-block-start",
        *["content-block-delta"] * 2,
        "content-block-finish",
        "message-finish",
    )
    assert emitted == [("own", name) for name in names]


@pytest.mark.parametrize(
    "updates", [(), (("updates", {"__interrupt__": []}),)], ids=["without updates", "with updates"]
)
def test_a_breakpoint_is_interrupted_without_input_requested(updates: tuple[tuple[str, Any], ...]) -> None:
    stopped = ("end", {**END[1], "phase": "waiting_for_approval"})
    events = translated(FIRST_ATTEMPT, *updates, stopped)
    assert [event.data["event"] for event in events] == ["running", "interrupted", "completed"]
    after_the_last_node = translated(FIRST_ATTEMPT, *updates, END)
    assert [event.data["event"] for event in after_the_last_node] == ["running", "completed"]


def test_numbers_and_ids_of_events_are_unique() -> None:
    interrupts = [{"id": "0" * 32, "value": "sure?"}]
    log = (
        FIRST_ATTEMPT,
        ("updates|in:1", {"__interrupt__": interrupts}),
        ("values", {"__interrupt__": interrupts}),
        SECOND_ATTEMPT,
        END,
    )
    events = translated(*log)
    assert [event.method for event in events].count("input.requested") == 1
    assert len({event.seq for event in events}) == len({event.event_id for event in events}) == len(events)
    assert [event.encoded() for event in translated(*log)] == [event.encoded() for event in events]


def test_the_started_event_of_a_subgraph_names_its_namespace_and_call() -> None:
    started = next(event for event in translated(FIRST_ATTEMPT, ("values|in:1", {"a": 1}), END) if event.namespace)
    assert started.data == {"event": "started", "namespace": ["in:1"], "graph_name": "in", "trigger_call_id": "1"}


def task_start(task_id: str, node: str) -> tuple[str, Any]:
    return "tasks", {"id": task_id, "name": node, "input": None, "triggers": []}


TOOL = ("tools", {"event": "on_tool_start", "toolCallId": "c1", "name": "add", "input": "{}"})


def test_a_tool_event_names_its_node_only_if_one_node_runs() -> None:
    """LangGraph does not report which node called the tool."""
    nodes = [
        [event.node for event in translated(FIRST_ATTEMPT, *tasks, TOOL) if event.method == "tools"]
        for tasks in ([], [task_start("1", "one")], [task_start("1", "one"), task_start("2", "two")])
    ]
    assert nodes == [[None], ["one"], [None]]


def test_tasks_of_a_dead_attempt_are_not_running_in_the_next_attempt() -> None:
    events = translated(FIRST_ATTEMPT, task_start("1", "died"), SECOND_ATTEMPT, task_start("2", "again"), TOOL)
    assert [event.node for event in events if event.method == "tools"] == ["again"]


def test_values_without_a_checkpoint_are_emitted_at_the_end() -> None:
    events = translated(FIRST_ATTEMPT, ("values", {"a": 1}), ("values|in:1", {"b": 2}), END)
    assert [(event.namespace, event.data) for event in events if event.method == "values"] == [
        ((), {"a": 1}),
        (("in:1",), {"b": 2}),
    ]
    assert events[-1].data["event"] == "completed"


def test_outer_subgraphs_start_before_inner_ones_and_end_after_them() -> None:
    """Also an outer subgraph that streamed nothing except the events of its inner subgraph."""
    events = translated(FIRST_ATTEMPT, ("custom|outer:1|inner:2", {"a": 1}), END)
    emitted = [(event.data["event"], event.namespace) for event in events if event.method == "lifecycle"]
    outer, inner = ("outer:1",), ("outer:1", "inner:2")
    assert emitted == [
        ("running", ()),
        ("started", outer),
        ("started", inner),
        ("completed", inner),
        ("completed", outer),
        ("completed", ()),
    ]


def test_a_message_repeated_in_full_is_emitted_as_deltas() -> None:
    metadata = ("messages/metadata", {"a": {"metadata": {"ls_model_type": "chat"}}})
    parts = [
        ("messages/partial", [{"type": "ai", "id": "a", "content": text}]) for text in ("one", "one two", "one two 3")
    ]
    deltas = [
        event.data["delta"]["text"]
        for event in translated(FIRST_ATTEMPT, metadata, *parts, END)
        if "delta" in event.data
    ]
    assert deltas == ["one", " two", " 3"]


def test_the_tree_of_a_run_at_a_breakpoint_is_interrupted() -> None:
    """Although its end is two events, `interrupted` and `completed`."""
    tree = AgentTree("talk", "running")
    for event in translated(FIRST_ATTEMPT, ("end", {**END[1], "phase": "waiting_for_approval"})):
        tree.apply(event)
    assert tree.root["status"] == "interrupted"


def test_depth_counts_from_the_root_or_from_the_filtered_namespace() -> None:
    namespace: tuple[str, ...] = ("a:1", "b:2")
    events = [ProtocolEvent(1, "1", "custom", namespace[:depth], 0, {}) for depth in range(3)]

    def matching_depths(namespaces: list[list[str]] | None, depth: int | None) -> list[int]:
        event_filter = EventFilter.from_request(["custom"], namespaces, depth)
        return [len(event.namespace) for event in events if event_filter.matches(event)]

    assert [matching_depths(None, depth) for depth in (None, 0, 1, 2)] == [[0, 1, 2], [0], [0, 1], [0, 1, 2]]
    assert [matching_depths([["a"]], depth) for depth in (None, 0, 1)] == [[1, 2], [1], [1, 2]]
    assert [matching_depths(namespaces, None) for namespaces in ([["a:1"]], [["a:2"]], [["b"]], [["a", "b:2"]])] == [
        [1, 2],
        [],
        [],
        [2],
    ]
