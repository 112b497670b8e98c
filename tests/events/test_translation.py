"""From the entries of a log to events: what no running graph can be made to show at will."""

from __future__ import annotations

from typing import Any

import pytest

from app.event_protocol.run_protocol import MODES, ProtocolEvent, RunTranslator, Turn, first_of
from app.runs.events import Event
from app.serialization.encoding import dumps

STARTED_MS = 1_000


def entry(number: int, name: str, data: Any, result: bytes | None = None) -> Event:
    """An entry of a log."""
    block = b"event: %b\r\ndata: %b\r\nid: 1-1\r\n\r\n" % (name.encode(), dumps(data))
    return Event(f"2000-{number}", (2000, number), name, block, result)


def translated(*entries: tuple[str, Any], turn: int = 3, **more: Any) -> list[ProtocolEvent]:
    """The events of a whole log."""
    translator = RunTranslator(Turn(turn, "r1", "talk", STARTED_MS, modes=frozenset(MODES), **more))
    logged = [entry(number, name, data) for number, (name, data) in enumerate(entries)]
    return [event for one in logged for event in translator.take(one)]


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
    assert [event.seq - first_of(3) for event in events] == [1, 2, 3, 4]


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
