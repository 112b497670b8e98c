"""From the entries of a log to events: what no running graph can be made to show at will."""

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
    """An entry of a log."""
    block = b"event: %b\r\ndata: %b\r\nid: 1-1\r\n\r\n" % (name.encode(), dumps(data))
    return Event(f"2000-{number}", (2000, number), name, block, result)


def translated(*entries: tuple[str, Any], turn: int = 3, **more: Any) -> list[ProtocolEvent]:
    """The events of a whole log."""
    translator = RunTranslator(TranslatedRun(turn, "r1", "talk", STARTED_MS, modes=frozenset(MODES), **more))
    logged = [entry(number, name, data) for number, (name, data) in enumerate(entries)]
    return [event for one in logged for event in translator.apply(one)]


BEGIN = ("metadata", {"run_id": "r1", "attempt": 1})
AGAIN = ("metadata", {"run_id": "r1", "attempt": 2})
END = ("end", {"run_id": "r1", "status": "success"})


def chunk(ident: str, text: str, node: str = "say") -> tuple[str, Any]:
    message = {"type": "AIMessageChunk", "id": ident, "content": text}
    return "messages", [
        message,
        {"langgraph_node": node, "langgraph_checkpoint_ns": f"{node}:1", "ls_model_type": "chat"},
    ]


def test_a_message_that_an_attempt_left_is_broken_off_and_made_again() -> None:
    events = translated(BEGIN, chunk("a", "hal"), AGAIN, chunk("b", "half"), END)
    said = [(event.data["id"], event.data["event"]) for event in events if event.method == "messages"]
    start = ["message-start", "content-block-start", "content-block-delta"]
    ends = ["content-block-finish", "message-finish"]
    assert said == [("a", word) for word in [*start, "error"]] + [("b", word) for word in start + ends]
    assert [event.data["event"] for event in events if event.method == "lifecycle"] == ["running", "completed"]


def test_what_cannot_be_translated_is_passed_over_and_changes_no_number() -> None:
    events = translated(BEGIN, ("messages", "nonsense"), ("updates", [1]), ("values", {"a": 1}), ("custom", "x"), END)
    assert [event.method for event in events] == ["lifecycle", "values", "custom", "lifecycle"]
    assert [event.seq - base_number(3) for event in events] == [1, 2, 3, 4]


def test_the_empty_chunk_that_closes_a_message_is_no_message() -> None:
    name, (message, about) = chunk("of the call", "")
    closing = (name, [message | {"chunk_position": "last"}, about])
    events = translated(BEGIN, chunk("of the model", "word"), closing, END)
    assert [event.data["id"] for event in events if event.data["event"] == "message-start"] == ["of the model"]


def test_messages_that_are_made_at_the_same_time_keep_apart() -> None:
    events = translated(BEGIN, chunk("a", "1", "one"), chunk("b", "2", "two"), chunk("a", "3", "one"), END)
    deltas = [(event.node, event.data["id"], event.data["delta"]["text"]) for event in events if "delta" in event.data]
    assert deltas == [("one", "a", "1"), ("two", "b", "2"), ("one", "a", "3")]


@pytest.mark.parametrize(
    "ending",
    [
        {"type": "AIMessageChunk", "content": "", "chunk_position": "last"},
        {"type": "ai", "content": [{"type": "text", "text": "hello you"}]},
        {"type": "ai", "content": "hello you"},
    ],
    ids=["mark", "whole in blocks", "whole"],
)
def test_a_message_whose_end_has_another_id_is_one(ending: dict[str, Any]) -> None:
    _, (_, about) = chunk("own", "")
    events = translated(
        BEGIN, chunk("own", "hello "), chunk("own", "you"), ("messages", [{**ending, "id": "call"}, about]), END
    )
    said = [(event.data["id"], event.data["event"]) for event in events if event.method == "messages"]
    words = (
        "message-start",
        "content-block-start",
        *["content-block-delta"] * 2,
        "content-block-finish",
        "message-finish",
    )
    assert said == [("own", word) for word in words]


@pytest.mark.parametrize("told", [(), (("updates", {"__interrupt__": []}),)], ids=["without updates", "with updates"])
def test_a_breakpoint_is_an_interrupt_without_a_question(told: tuple[tuple[str, Any], ...]) -> None:
    stopped = ("end", {**END[1], "phase": "waiting_for_approval"})
    events = translated(BEGIN, *told, stopped)
    assert [event.data["event"] for event in events] == ["running", "interrupted", "completed"]
    behind_the_last_node = translated(BEGIN, *told, END)
    assert [event.data["event"] for event in behind_the_last_node] == ["running", "completed"]


def test_no_number_and_no_id_comes_twice() -> None:
    asked = [{"id": "0" * 32, "value": "sure?"}]
    log = (BEGIN, ("updates|in:1", {"__interrupt__": asked}), ("values", {"__interrupt__": asked}), AGAIN, END)
    events = translated(*log)
    assert [event.method for event in events].count("input.requested") == 1
    assert len({event.seq for event in events}) == len({event.event_id for event in events}) == len(events)
    assert [event.encoded() for event in translated(*log)] == [event.encoded() for event in events]


def test_a_graph_inside_says_where_it_has_started() -> None:
    started = next(event for event in translated(BEGIN, ("values|in:1", {"a": 1}), END) if event.namespace)
    assert started.data == {"event": "started", "namespace": ["in:1"], "graph_name": "in", "trigger_call_id": "1"}


def running(task_id: str, node: str) -> tuple[str, Any]:
    """A task that begins."""
    return "tasks", {"id": task_id, "name": node, "input": None, "triggers": []}


TOOL = ("tools", {"event": "on_tool_start", "toolCallId": "c1", "name": "add", "input": "{}"})


def test_a_tool_has_a_node_only_where_one_node_runs() -> None:
    """LangGraph does not say which node called it."""
    nodes = [
        [event.node for event in translated(BEGIN, *tasks, TOOL) if event.method == "tools"]
        for tasks in ([], [running("1", "one")], [running("1", "one"), running("2", "two")])
    ]
    assert nodes == [[None], ["one"], [None]]


def test_what_ran_in_an_attempt_that_died_runs_no_more() -> None:
    events = translated(BEGIN, running("1", "died"), AGAIN, running("2", "again"), TOOL)
    assert [event.node for event in events if event.method == "tools"] == ["again"]


def test_values_that_no_checkpoint_follows_are_told_at_the_end() -> None:
    events = translated(BEGIN, ("values", {"a": 1}), ("values|in:1", {"b": 2}), END)
    assert [(event.namespace, event.data) for event in events if event.method == "values"] == [
        ((), {"a": 1}),
        (("in:1",), {"b": 2}),
    ]
    assert events[-1].data["event"] == "completed"


def test_graphs_inside_begin_from_the_outside_and_end_from_the_inside() -> None:
    """Also one of which nothing was streamed but what the graph inside it streams."""
    events = translated(BEGIN, ("custom|outer:1|inner:2", {"a": 1}), END)
    told = [(event.data["event"], event.namespace) for event in events if event.method == "lifecycle"]
    outer, inner = ("outer:1",), ("outer:1", "inner:2")
    assert told == [
        ("running", ()),
        ("started", outer),
        ("started", inner),
        ("completed", inner),
        ("completed", outer),
        ("completed", ()),
    ]


def test_of_a_message_that_comes_whole_each_time_only_what_is_new_is_told() -> None:
    about = ("messages/metadata", {"a": {"metadata": {"ls_model_type": "chat"}}})
    parts = [
        ("messages/partial", [{"type": "ai", "id": "a", "content": text}]) for text in ("one", "one two", "one two 3")
    ]
    deltas = [event.data["delta"]["text"] for event in translated(BEGIN, about, *parts, END) if "delta" in event.data]
    assert deltas == ["one", " two", " 3"]


def test_a_tree_says_that_a_run_stopped_at_a_breakpoint() -> None:
    """Though its end is told in two words, `interrupted` and `completed`."""
    tree = AgentTree("talk", "running")
    for event in translated(BEGIN, ("end", {**END[1], "phase": "waiting_for_approval"})):
        tree.apply(event)
    assert tree.root["status"] == "interrupted"


def test_depth_counts_from_the_root_or_from_a_namespace() -> None:
    inside: tuple[str, ...] = ("a:1", "b:2")
    events = [ProtocolEvent(1, "1", "custom", inside[:depth], 0, {}) for depth in range(3)]

    def wanted(namespaces: list[list[str]] | None, depth: int | None) -> list[int]:
        chosen = EventFilter.from_request(["custom"], namespaces, depth)
        return [len(event.namespace) for event in events if chosen.matches(event)]

    assert [wanted(None, depth) for depth in (None, 0, 1, 2)] == [[0, 1, 2], [0], [0, 1], [0, 1, 2]]
    assert [wanted([["a"]], depth) for depth in (None, 0, 1)] == [[1, 2], [1], [1, 2]]
    assert [wanted(of, None) for of in ([["a:1"]], [["a:2"]], [["b"]], [["a", "b:2"]])] == [[1, 2], [], [], [2]]
