"""What clients send is read leniently where it does no harm, and refused by the name of the field where it does."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidRequest
from app.http.bodies import HistoryBody, RunBody, StateWriteBody, ThreadBody
from app.http.inputs import parsed, validated

CHECKPOINT = "1ef4f797-8335-6428-8001-8a1503f9b875"


def run_body(**fields: Any) -> RunBody:
    return validated(RunBody, {"assistant_id": "chat", **fields})


@pytest.mark.parametrize("name", sorted(RunBody.model_fields.keys() - {"assistant_id"}))
def test_null_is_absent(name: str) -> None:
    assert run_body(**{name: None}) == run_body()


def test_unknown_fields_are_ignored() -> None:
    assert run_body(assistantId="x", whatever=[1]) == run_body()


def test_a_whole_number_may_be_written_as_a_fraction() -> None:
    given = run_body(config={"recursion_limit": 100.0, "max_concurrency": 3.0}, after_seconds=5.0)
    assert given == run_body(config={"recursion_limit": 100, "max_concurrency": 3}, after_seconds=5)
    assert isinstance(given.config.public()["recursion_limit"], int)


@pytest.mark.parametrize(
    ("fields", "path", "says"),
    [
        ({"assistant_id": 3}, "assistant_id", "string"),
        ({"stream_mode": ["values", "vales"]}, "stream_mode[1]", "'messages-tuple'"),
        ({"stream_mode": "vales"}, "stream_mode[0]", "'values'"),
        ({"multitask_strategy": "queue"}, "multitask_strategy", "'enqueue'"),
        ({"config": {"recursion_limit": "5"}}, "config.recursion_limit", "integer"),
        ({"config": {"recursion_limit": 100.5}}, "config.recursion_limit", "integer"),
        ({"config": {"recursion_limit": 1e300}}, "config.recursion_limit", "less"),
        ({"config": {"recursion_limit": 0}}, "config.recursion_limit", "greater"),
        ({"config": {"recursion_limit": 2**40}}, "config.recursion_limit", "less"),
        ({"config": {"tags": ["a", 1]}}, "config.tags[1]", "string"),
        ({"config": []}, "config", "object"),
        ({"checkpoint_id": "latest"}, "checkpoint_id", "UUID"),
        ({"after_seconds": -1}, "after_seconds", "greater"),
        ({"after_seconds": True}, "after_seconds", "integer"),
        ({"stream_subgraphs": "yes"}, "stream_subgraphs", "boolean"),
        ({"webhook": "ftp://host"}, "webhook", "absolute URL"),
        ({"metadata": ["a"]}, "metadata", "object"),
        ({"interrupt_before": 5}, "interrupt_before", 'must be "*" or a list'),
        ({"interrupt_after": ["one", 5]}, "interrupt_after", "nodes' names"),
        ({"command": {"goto": 5}}, "command.goto", "a node's name"),
        ({"command": {"update": "x"}}, "command.update", "list of pairs"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], path: str, says: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        run_body(**fields)
    assert refused.value.field == path
    assert says in str(refused.value)


def test_reserved_keys_are_removed() -> None:
    body = run_body(
        metadata={"run_id": "x", "mine": 1},
        config={"configurable": {"langgraph_auth_user": "root", "__otel_x": 1, "a": 1}, "metadata": {"thread_id": 1}},
        context={"langgraph_request_id": "x", "b": 2},
    )
    assert body.metadata == {"mine": 1}
    assert body.config.public() == {"configurable": {"a": 1}, "metadata": {}}
    assert body.context == {"b": 2}


@pytest.mark.parametrize(
    ("fields", "durability"),
    [
        ({}, "async"),
        ({"checkpoint_during": True}, "async"),
        ({"checkpoint_during": False}, "exit"),
        ({"durability": "sync", "checkpoint_during": False}, "sync"),
    ],
)
def test_durability_and_its_old_spelling(fields: dict[str, Any], durability: str) -> None:
    assert run_body(**fields).durable == durability


def test_a_checkpoint_is_said_in_two_ways() -> None:
    assert run_body(checkpoint_id=CHECKPOINT).start_from == {"checkpoint_id": CHECKPOINT}
    given = {"checkpoint_id": CHECKPOINT, "checkpoint_ns": "", "checkpoint_map": None, "thread_id": "elsewhere"}
    assert run_body(checkpoint=given).start_from == {"checkpoint_id": CHECKPOINT, "checkpoint_ns": ""}
    assert run_body(checkpoint={}).start_from is None


def test_a_null_answer_is_an_answer() -> None:
    command = run_body(command={"resume": None}).command
    assert command is not None
    assert command.public() == {"resume": None}


@pytest.mark.parametrize(
    "before",
    [CHECKPOINT, {"checkpoint_id": CHECKPOINT, "checkpoint_ns": ""}, {"configurable": {"checkpoint_id": CHECKPOINT}}],
)
def test_before_comes_in_three_forms(before: Any) -> None:
    assert validated(HistoryBody, {"before": before}).before == CHECKPOINT


@pytest.mark.parametrize("limit", [0, 1001, "5", 1.5])
def test_limits_have_bounds(limit: Any) -> None:
    with pytest.raises(InvalidRequest, match="limit"):
        validated(HistoryBody, {"limit": limit})


def test_thread_ids_are_canonical() -> None:
    assert validated(ThreadBody, {"thread_id": CHECKPOINT.upper()}).thread_id == CHECKPOINT
    with pytest.raises(InvalidRequest, match="thread_id"):
        validated(ThreadBody, {"thread_id": "{" + CHECKPOINT + "}"})


def test_a_fork_is_said_in_two_ways() -> None:
    assert validated(StateWriteBody, {"checkpoint_id": "c"}).start_from == {"checkpoint_id": "c"}
    assert validated(StateWriteBody, {"checkpoint": {"checkpoint_id": "c"}}).start_from == {"checkpoint_id": "c"}


@pytest.mark.parametrize("raw", [b"", b"  ", b"{", b"{'a': 1}", b"[NaN]", b'{"a": "\\udx"}', b"\xff", b'"\\ud800'])
def test_malformed_json_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        parsed(raw)


@pytest.mark.parametrize("value", [[], "text", 1, None])
def test_a_body_is_an_object(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="object"):
        validated(ThreadBody, value)


def test_lone_surrogates_are_replaced() -> None:
    assert parsed(b'{"a\\ud800": ["\\udfff", 1]}') == {"a\ufffd": ["\ufffd", 1]}
    assert parsed(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_depth_has_a_bound() -> None:
    assert parsed(b"[" * 200 + b"]" * 200)
    with pytest.raises(InvalidRequest, match="deeper"):
        parsed(b"[" * 300 + b"]" * 300)
    with pytest.raises(InvalidRequest):
        parsed(b"[" * 100_000)
    assert parsed(b"[" + b"{}," * 5000 + b"1]")


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5))
def test_any_input_passes_through(value: Any) -> None:
    raw = orjson.dumps({"assistant_id": "x", "input": {"v": value}})
    assert validated(RunBody, parsed(raw)).input == {"v": value}


@given(
    st.dictionaries(
        st.sampled_from(sorted(RunBody.model_fields)),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers() | st.text()) | st.just({}),
    )
)
def test_whatever_is_sent_is_read_or_refused(fields: dict[str, Any]) -> None:
    with suppress(InvalidRequest):
        assert validated(RunBody, fields).assistant_id == fields["assistant_id"]
