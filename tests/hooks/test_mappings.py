"""Mappings: what is rejected when langgraph.json is read, and what an expression may cost."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import ConfigError, HookBodyUnknown, InvalidRequest
from slipway.graphs.hook_mapping import ALL_NAMES
from slipway.graphs.langgraph_json import read
from slipway.hooks.payload import payload_of
from slipway.hooks.plan import Ignore, Incoming, Plan, StartRun, planned
from slipway.json_expressions import MAX_CPU_S, Budget, EvaluationError, ExpressionError, compiled
from tests.hooks.conftest import PROJECT, project_with
from tests.hooks.senders import PUSH, encoded

GITHUB = {"scheme": "github", "secret_env": "S"}
HMAC = {"scheme": "hmac", "secret_env": "S", "header": "x-sig"}
BASE: dict[str, Any] = {"assistant": "notes", "verify": GITHUB, "input": "body"}


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({"assistant": "note"}, "hooks.h.assistant: unknown graph 'note'; did you mean 'notes'?"),
        ({"input": {"a": "body.a["}}, "hooks.h.input.a: the expression 'body.a[' is not a JMESPath expression"),
        (
            {"input": {"a": ["repo.name"]}},
            "hooks.h.input.a[0]: the expression 'repo.name' names nothing: 'repo' is not",
        ),
        ({"input": {"a": "lenght(body)"}}, "calls the function lenght(), which does not exist (column 1)"),
        ({"input": {"a": "body.a | length(@, @)"}}, "length() takes 1 arguments, found 2 (column 10)"),
        (
            {"input": {"a": "body.a || `none`"}},
            "has a text between backticks that is not JSON: write 'text' (column 11)",
        ),
        ({"input": {"a": ""}}, "hooks.h.input.a: names nothing: it is empty"),
        ({"input": {}}, "hooks.h.input: names nothing"),
        ({"input": {"a": 1}}, "hooks.h.input: names nothing"),
        ({"input": {"a": "body", "a?": "body"}}, "given twice"),
        ({"input": "body." + "a" * 1000}, "is longer than 1000 characters"),
        ({"input": "to_array(" * 50 + "body" + ")" * 50}, "is nested deeper than 40 levels"),
        ({"input": ["body"] * 201}, "has 201 expressions; at most 200"),
        ({"input": "headers.authorization"}, "reads the header 'authorization', which has credentials"),
        ({"input": 'headers."x-hub-signature-256"'}, "which has credentials"),
        ({"input": 'headers."X-Own"'}, "write it in lower case"),
        ({"thread": "event", "thread_id": "event"}, "thread and thread_id exclude each other"),
        ({"resume": "body"}, "input and resume exclude each other"),
        ({"metadata": {"owner": "body.o"}}, "metadata.owner is set by Slipway"),
        ({"metadata": {"hook": "body.o"}}, "metadata.hook is set by Slipway"),
        ({"verify": {"scheme": "github"}}, "needs secret_env"),
        ({"verify": {**GITHUB, "header": "x-own"}}, "header is only for the scheme hmac"),
        ({"verify": {**GITHUB, "window_s": 5}}, "window_s has no effect"),
        ({"verify": {**GITHUB, "secret": "x"}}, "hooks.h.verify.secret: unknown key"),
        ({"verify": {**GITHUB, "secret_env": "hush hush"}}, "expected the name of an environment variable"),
        ({"verify": HMAC}, "needs id, or verify.timestamp_header"),
        ({"verify": HMAC, "id": "digest", "events": ["a"]}, "events needs event"),
        ({"verify": {"scheme": "hmac", "secret_env": "S"}}, "the scheme hmac needs header"),
        ({"event": "event"}, "names nothing: 'event' is not one of"),
        ({"run_id": "body.r"}, "run_id is only for resume"),
        ({"asistant": "notes"}, "unknown key; did you mean 'assistant'?"),
    ],
)
def test_what_cannot_work_is_an_error_with_file_line_and_key(tmp_path: Path, hook: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(project_with(tmp_path, {"h": {**BASE, **hook}}), {})
    assert words in str(error.value)
    assert "langgraph.json:" in str(error.value)
    assert "hush hush" not in str(error.value)


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        ({"verify": GITHUB}, "names nothing to do"),
        ({"verify": GITHUB, "assistant": "notes"}, "names nothing to do"),
        ({"verify": GITHUB, "resume": "body"}, "resume needs thread, thread_id or run_id"),
        (
            {"verify": GITHUB, "decide": {"review": "body.r", "decision": {"kind": "'x'"}}, "thread": "body.t"},
            "thread has no effect",
        ),
        ({"verify": GITHUB, "decide": {"review": "body.r", "decision": {}}}, "decide.decision: names nothing"),
    ],
)
def test_a_hook_must_have_something_to_do(tmp_path: Path, hook: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read(project_with(tmp_path, {"h": hook}), {})


def test_the_name_of_a_hook_is_a_part_of_a_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a string that matches"):
        read(project_with(tmp_path, {"a/b": BASE}), {})


# expressions


HUGE: dict[str, Any] = {
    "text": "x" * 900_000,
    "numbers": list(range(200_000)),
    "words": [["word"] * 500] * 500,
    "inf": "inf",
    "digits": "9" * 100_000,
    "deep": {"a": {"a": {"a": {"a": [1, 2, {"a": 3}]}}}},
}
SEEN = {"body": HUGE, "headers": {}, "event": "e", "id": "i", "digest": "d", "hook": "h"}

COSTLY = [
    "join(body.text, body.words[])",
    "body.words[] | [@, @][] | [@, @][] | [@, @][] | [@, @][] | [@, @][] | [@, @][] | [@, @][] | length(@)",
    " | ".join(["body", *["[@, @]"] * 35]),
    " | ".join(["body", *["[@, @]"] * 34, "to_string(@)"]),
    " | ".join(["body", *["{a: @, b: @}"] * 34, "@ == @"]),
    "body.numbers[?@ > `1`][?@ > `1`][?@ > `1`]",
    "sort_by(body.numbers, &to_string(@))",
    "body.numbers[*].[@, @, @, @, @, @, @, @]",
    "map(&[@, body], body.numbers)",
    " == ".join(["(body"] * 12 + ["body"]) + ")" * 12,
    "to_string(" * 12 + "body" + ")" * 12,
    "contains(body.words[], body.text)",
    "body.*.*.*.*.*[]",
    "max_by(body.numbers, &abs(@))",
]


@pytest.mark.parametrize("text", COSTLY)
def test_a_costly_expression_ends_soon(text: str) -> None:
    expression = compiled(text, ALL_NAMES)
    started = time.thread_time()
    with suppress(EvaluationError):
        expression.evaluate(SEEN, Budget())
    assert time.thread_time() - started < 4 * MAX_CPU_S


def test_join_does_not_multiply_two_sizes() -> None:
    seen = {**SEEN, "body": {"glue": "x" * 100_000, "parts": ["a"] * 1_000}}
    with pytest.raises(EvaluationError, match="builds a value that is larger than"):
        compiled("length(join(body.glue, body.parts))", ALL_NAMES).evaluate(seen, Budget())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("to_number(body.inf)", "a number that JSON cannot express"),
        ("ceil(to_number(body.inf))", "OverflowError"),
        ("sum(body.text)", "sum() cannot take a value of type string"),
        ("body.numbers[::0]", "ValueError"),
        ("event | length(to_number(@))", "length() cannot take a value of type null"),
    ],
)
def test_an_expression_without_a_result_says_why(text: str, words: str) -> None:
    with pytest.raises(EvaluationError) as error:
        compiled(text, ALL_NAMES).evaluate(SEEN, Budget())
    assert words in str(error.value)


PARTS = st.sampled_from(
    [
        *(
            "body",
            "headers",
            "event",
            "@",
            "a",
            '"x-y"',
            "'text'",
            "`1`",
            '`{"a": [1]}`',
            "`",
            "'",
            '"',
            "\\",
            "&",
            "!",
        ),
        *(
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            ".",
            "*",
            "[]",
            "[?",
            "[*]",
            "[0]",
            "[-1:]",
            "[::2]",
            "||",
            "&&",
            "|",
            ":",
            ",",
        ),
        *("==", "<", ">=", "length(", "sort_by(", "to_string(", "join('',", "map(&", "not_null(", "merge(", "nope("),
        *("a: b", " ", "\n", "é", "\x00", "99999999999999999999", "-", "$"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "x-y"]), inner, max_size=4),
    max_leaves=20,
)


@given(st.lists(PARTS, max_size=25).map("".join) | st.text(max_size=40), JSON)
def test_any_text_and_any_payload_raise_only_what_is_declared(text: str, body: Any) -> None:
    with suppress(ExpressionError, EvaluationError):
        compiled(text, ALL_NAMES).evaluate({**SEEN, "body": body}, Budget())


CONTENT_TYPES = st.sampled_from(["", "application/json", "application/x-www-form-urlencoded", "text/xml", "a+json; x"])


@given(CONTENT_TYPES | st.text(max_size=20), st.binary(max_size=200) | JSON.map(encoded) | st.just(b"payload=%7b%7d"))
def test_any_body_raises_only_errors_with_a_status(content_type: str, body: bytes) -> None:
    with suppress(HookBodyUnknown, InvalidRequest):
        payload_of(content_type, body)


@given(
    st.sampled_from(sorted(read(PROJECT).hooks)), JSON, st.dictionaries(st.sampled_from(["x-github-event"]), st.text())
)
def test_any_delivery_has_a_plan(hook: str, body: Any, headers: dict[str, str]) -> None:
    plan = planned(read(PROJECT).hooks[hook], Incoming(headers, encoded(body), "0" * 64))
    assert (plan.action is None) == (plan.error is not None)
    assert plan.delivery_id


# templates


def _plan(folder: Path, hook: dict[str, Any], body: Any, event: str = "push") -> Plan:
    config = read(project_with(folder, {"h": {**BASE, **hook}}), {})
    return planned(config.hooks["h"], Incoming({"x-github-event": event}, encoded(body), "0" * 64))


def test_templates_have_texts_numbers_lists_and_optional_members(tmp_path: Path) -> None:
    template = {"a": "body.ref", "b": ["event", 1, None, True], "c?": "body.missing", "d": {"e": "'fixed'"}, "f?": "id"}
    plan = _plan(tmp_path, {"input": template}, PUSH)
    assert isinstance(plan.action, StartRun)
    assert plan.action.input == {
        "a": "refs/heads/main",
        "b": ["push", 1, None, True],
        "d": {"e": "fixed"},
        "f": "0" * 64,
    }


def test_an_error_names_hook_field_and_column(tmp_path: Path) -> None:
    plan = _plan(tmp_path, {"input": {"a": {"b": ["event", "body.ref | sort(@)"]}}}, PUSH)
    assert plan.error is not None
    assert str(plan.error) == (
        "slipway.hooks.h.input.a.b[1]: the expression 'body.ref | sort(@)' sort() cannot take a value of type string; "
        "it takes array-string or array-number (column 12)"
    )


def test_all_expressions_of_a_hook_share_one_budget(tmp_path: Path) -> None:
    body = {"numbers": list(range(1000))}
    one = _plan(tmp_path, {"input": ["body.numbers[?@ > `1`]"] * 5}, body)
    many = _plan(tmp_path, {"input": ["body.numbers[?@ > `1`]"] * 150}, body)
    assert one.error is None
    assert "takes more than 100000 steps" in str(many.error) or "takes more than 250 ms" in str(many.error)


def test_a_text_that_names_a_thread_has_a_limit(tmp_path: Path) -> None:
    values: list[Any] = ["", " ", "x" * 501, [], {}, 1.5, True]
    for value in values:
        assert _plan(tmp_path, {"thread": "body.t"}, {"t": value}).error is not None
    assert _plan(tmp_path, {"thread": "body.t"}, {"t": 17}).error is None


def test_an_event_type_of_another_name_is_ignored(tmp_path: Path) -> None:
    assert isinstance(_plan(tmp_path, {"events": ["push"]}, PUSH, "pushed").action, Ignore)
    assert isinstance(_plan(tmp_path, {"events": ["push"]}, PUSH, "push").action, StartRun)
    assert isinstance(_plan(tmp_path, {"events": ["push"]}, PUSH | {"action": "x"}, "push").action, StartRun)
    assert isinstance(_plan(tmp_path, {}, PUSH, "ping").action, Ignore)
    assert isinstance(_plan(tmp_path, {"events": ["ping"]}, PUSH, "ping").action, StartRun)
