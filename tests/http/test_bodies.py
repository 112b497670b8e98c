"""Request bodies: defaults, accepted forms, and errors that name the wrong field."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.api.bodies.assistants import AssistantBody, AssistantSearchBody, AssistantVersionsBody
from slipway.api.bodies.body import Body
from slipway.api.bodies.crons import CronBody, CronSearchBody
from slipway.api.bodies.events import RespondParams
from slipway.api.bodies.runs import RunBody
from slipway.api.bodies.thread_state import HistoryBody, StateReadBody, StateWriteBody
from slipway.api.bodies.threads import PruneBody, ThreadBody, ThreadPatchBody, ThreadSearchBody
from slipway.api.request_parsing import parsed, validated
from slipway.errors import InvalidRequest
from slipway.serialization.json_encoding import DEEPEST
from slipway.threads.ttl import ThreadTtl

CHECKPOINT = "1ef4f797-8335-6428-8001-8a1503f9b875"


def run_body(**fields: Any) -> RunBody:
    return validated(RunBody, {"assistant_id": "chat", **fields})


@pytest.mark.parametrize("name", sorted(RunBody.model_fields.keys() - {"assistant_id"}))
def test_a_null_field_is_an_absent_field(name: str) -> None:
    assert run_body(**{name: None}) == run_body()


SEARCHED = {"limit": 10, "offset": 0, "sort_order": "desc"}
RUN: dict[str, Any] = {
    "input": None,
    "command": None,
    "context": {},
    "metadata": {},
    "stream_mode": ["values"],
    "stream_subgraphs": False,
    "stream_resumable": False,
    "multitask_strategy": "enqueue",
    "if_not_exists": "reject",
    "on_disconnect": "continue",
    "on_completion": "delete",
    "after_seconds": 0,
    "interrupt_before": None,
    "interrupt_after": None,
    "webhook": None,
    "feedback_keys": None,
    "strict_resume": False,
}


@pytest.mark.parametrize(
    ("model", "fields", "defaults"),
    [
        (RunBody, {"assistant_id": "a"}, RUN),
        (CronBody, {"assistant_id": "a", "schedule": "@daily"}, {"enabled": True, "on_run_completed": "delete"}),
        (ThreadBody, {}, {"if_exists": "raise", "metadata": {}, "thread_ttl": None}),
        (ThreadPatchBody, {"ttl": 5}, {"thread_ttl": ThreadTtl(5, "delete")}),
        (ThreadSearchBody, {}, SEARCHED | {"sort_by": "updated_at", "select": None}),
        (PruneBody, {"thread_ids": []}, {"strategy": "delete"}),
        (StateReadBody, {"checkpoint": {}}, {"subgraphs": False, "select": []}),
        (HistoryBody, {}, {"limit": 1, "before": None}),
        (AssistantBody, {"graph_id": "g"}, {"if_exists": "raise", "name": "Untitled"}),
        (AssistantSearchBody, {}, SEARCHED | {"sort_by": "created_at", "select": None}),
        (AssistantVersionsBody, {}, {"limit": 10, "offset": 0}),
        (CronSearchBody, {}, SEARCHED | {"sort_by": "created_at", "select": None}),
    ],
)
def test_absent_fields_have_the_defaults_of_the_protocol(
    model: type[Body], fields: dict[str, Any], defaults: dict[str, Any]
) -> None:
    body = validated(model, fields)
    assert {name: getattr(body, name) for name in defaults} == defaults


def test_numbers_and_lengths_at_their_bounds_are_accepted_and_beyond_them_rejected() -> None:
    for fields in (
        {"after_seconds": 0},
        {"after_seconds": 366 * 86400},
        {"config": {"recursion_limit": 1}},
        {"config": {"recursion_limit": 2**31 - 1}},
        {"config": {"max_concurrency": 1}},
        {"webhook": f"https://host/{'a' * (65536 - len('https://host/'))}"},
    ):
        run_body(**fields)
    for fields in (
        {"after_seconds": 366 * 86400 + 1},
        {"config": {"recursion_limit": 2**31}},
        {"config": {"max_concurrency": 0}},
        {"webhook": f"https://host/{'a' * (65537 - len('https://host/'))}"},
    ):
        with pytest.raises(InvalidRequest):
            run_body(**fields)


def test_unknown_fields_are_ignored() -> None:
    assert run_body(assistantId="x", unknown=[1]) == run_body()


def test_an_integer_may_be_sent_with_a_zero_fraction() -> None:
    body = run_body(config={"recursion_limit": 100.0, "max_concurrency": 3.0}, after_seconds=5.0)
    assert body == run_body(config={"recursion_limit": 100, "max_concurrency": 3}, after_seconds=5)
    assert isinstance(body.config.public()["recursion_limit"], int)


@pytest.mark.parametrize(
    ("fields", "path", "text"),
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
def test_the_error_of_an_invalid_field_names_the_field_and_the_fix(
    fields: dict[str, Any], path: str, text: str
) -> None:
    with pytest.raises(InvalidRequest) as rejected:
        run_body(**fields)
    assert rejected.value.field == path
    assert text in str(rejected.value)


def test_reserved_keys_are_removed_from_metadata_config_and_context() -> None:
    body = run_body(
        metadata={"run_id": "x", "mine": 1},
        config={"configurable": {"langgraph_auth_user": "root", "__otel_x": 1, "a": 1}, "metadata": {"thread_id": 1}},
        context={"langgraph_request_id": "x", "b": 2},
    )
    assert body.metadata == {"mine": 1}
    assert body.config.public() == {"configurable": {"a": 1}, "metadata": {}}
    assert body.context == {"b": 2}


def test_every_reserved_key_is_removed() -> None:
    metadata = ["thread_id", "assistant_id", "run_id", "cron_id", "counters_since_delta_snapshot"]
    config = [
        *("langgraph_auth_user", "langgraph_request_id", "__langsmith_project__", "__langsmith_example_id__"),
        *("__request_start_time_ms__", "__after_seconds__", "__otel_x", "__dd_trace_headers__"),
        *("__pregel_node_finished", "__context_provided__"),
    ]
    mine = {"mine": 1}
    models: tuple[type[Any], ...] = (RunBody, ThreadBody, ThreadPatchBody, AssistantBody)
    for model in models:
        fields = {"assistant_id": CHECKPOINT, "graph_id": "g", "metadata": dict.fromkeys(metadata, "x") | mine}
        assert validated(model, fields).metadata == mine, model
    body = run_body(config={"configurable": dict.fromkeys(config, "x") | mine}, context=dict.fromkeys(config, "x"))
    assert (body.config.configurable, body.context) == (mine, {})


@pytest.mark.parametrize(
    ("fields", "durability"),
    [
        ({}, "async"),
        ({"checkpoint_during": True}, "async"),
        ({"checkpoint_during": False}, "exit"),
        ({"durability": "sync", "checkpoint_during": False}, "sync"),
    ],
)
def test_durability_has_precedence_over_checkpoint_during(fields: dict[str, Any], durability: str) -> None:
    assert run_body(**fields).durable == durability


def test_a_start_checkpoint_can_be_named_by_id_or_as_an_object() -> None:
    assert run_body(checkpoint_id=CHECKPOINT).start_from == {"checkpoint_id": CHECKPOINT}
    checkpoint = {"checkpoint_id": CHECKPOINT, "checkpoint_ns": "", "checkpoint_map": None, "thread_id": "other"}
    assert run_body(checkpoint=checkpoint).start_from == {"checkpoint_id": CHECKPOINT, "checkpoint_ns": ""}
    assert run_body(checkpoint={}).start_from is None


def test_a_null_resume_value_is_an_answer() -> None:
    command = run_body(command={"resume": None}).command
    assert command is not None
    assert command.public() == {"resume": None}


@pytest.mark.parametrize(
    "before",
    [CHECKPOINT, {"checkpoint_id": CHECKPOINT, "checkpoint_ns": ""}, {"configurable": {"checkpoint_id": CHECKPOINT}}],
)
def test_before_of_a_history_has_three_forms(before: Any) -> None:
    assert validated(HistoryBody, {"before": before}).before == CHECKPOINT


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_limit_of_1_or_1000_is_accepted(limit: int) -> None:
    models: tuple[type[Any], ...] = (HistoryBody, ThreadSearchBody, AssistantSearchBody, CronSearchBody)
    for model in models:
        assert validated(model, {"limit": limit}).limit == limit


@pytest.mark.parametrize("limit", [0, 1001, "5", 1.5])
def test_an_invalid_limit_is_rejected(limit: Any) -> None:
    with pytest.raises(InvalidRequest, match="limit"):
        validated(HistoryBody, {"limit": limit})


def test_thread_ids_are_converted_to_canonical_form() -> None:
    assert validated(ThreadBody, {"thread_id": CHECKPOINT.upper()}).thread_id == CHECKPOINT
    with pytest.raises(InvalidRequest, match="thread_id"):
        validated(ThreadBody, {"thread_id": "{" + CHECKPOINT + "}"})


def test_the_checkpoint_of_a_state_write_has_two_forms() -> None:
    assert validated(StateWriteBody, {"checkpoint_id": "c"}).start_checkpoint == {"checkpoint_id": "c"}
    assert validated(StateWriteBody, {"checkpoint": {"checkpoint_id": "c"}}).start_checkpoint == {"checkpoint_id": "c"}


@pytest.mark.parametrize("raw", [b"", b"  ", b"{", b"{'a': 1}", b"[NaN]", b'{"a": "\\udx"}', b"\xff", b'"\\ud800'])
def test_malformed_json_is_rejected(raw: bytes) -> None:
    with pytest.raises(InvalidRequest, match="JSON"):
        parsed(raw)


@pytest.mark.parametrize("value", [[], "text", 1, None])
def test_a_body_that_is_not_an_object_is_rejected(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="object"):
        validated(ThreadBody, value)


def test_lone_surrogates_are_replaced() -> None:
    assert parsed(b'{"a\\ud800": ["\\udfff", 1]}') == {"a\ufffd": ["\ufffd", 1]}
    assert parsed(b'"\\ud83d\\ude00"') == "\U0001f600"


def test_json_beyond_the_maximum_depth_is_rejected() -> None:
    assert parsed(b"[" * DEEPEST + b"]" * DEEPEST)
    with pytest.raises(InvalidRequest, match="deeper"):
        parsed(b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1))
    with pytest.raises(InvalidRequest):
        parsed(b"[" * 100_000)
    assert parsed(b"[" + b"{}," * 5000 + b"1]")


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5))
def test_any_json_input_is_unchanged(value: Any) -> None:
    raw = orjson.dumps({"assistant_id": "x", "input": {"v": value}})
    assert validated(RunBody, parsed(raw)).input == {"v": value}


@given(
    st.dictionaries(
        st.sampled_from(sorted(RunBody.model_fields)),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers() | st.text()) | st.just({}),
    )
)
def test_any_fields_are_accepted_or_rejected_without_another_exception(fields: dict[str, Any]) -> None:
    with suppress(InvalidRequest):
        assert validated(RunBody, fields).assistant_id == fields["assistant_id"]


def test_an_answer_by_the_event_protocol_becomes_a_run_body() -> None:
    params = {
        "interrupt_id": "i1",
        "response": 7,
        "update": {"a": 1},
        "goto": "next",
        "config": {"tags": ["t"]},
        "metadata": {"m": 1},
        "strict_resume": True,
    }
    run = validated(RunBody, validated(RespondParams, params).run("chat"))
    assert run == run_body(
        command={"resume": {"i1": 7}, "update": {"a": 1}, "goto": "next"},
        config={"tags": ["t"]},
        metadata={"m": 1},
        strict_resume=True,
    )
