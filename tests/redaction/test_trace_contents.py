"""Inputs and outputs in traces have one rule, whether they are recorded or read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from slipway.redaction.known_secrets import KNOWN
from slipway.redaction.trace_contents import redact_trace_content
from slipway.run_traces.contents import bounded
from slipway.tracing.content import content_of
from tests.redaction.test_rules import JSON_VALUES

PLAIN = "hunter2"
"""No pattern matches it."""


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "X-Api-Key", "password", "Authorization", "clientSecret", "privateKey"]
)
def test_texts_of_members_that_are_named_as_a_credential_are_replaced_in_any_depth(name: str) -> None:
    value = {"calls": [{"args": {name: PLAIN}, "arguments": json.dumps({name: PLAIN})}], name: [{"inner": PLAIN}]}
    for shown in (content_of(value), json.dumps(bounded(value))):
        assert PLAIN not in shown
        assert shown.count("[redacted]") == 3


def test_what_looks_like_a_credential_and_known_secrets_are_replaced() -> None:
    KNOWN.remember("TRACE_CANARY", "trace-canary-0d2a11")
    value = {"text": "use sk-live-0123456789abcdefghij or trace-canary-0d2a11", "sk-live-0123456789abcdefghij": 1}
    expected = {"text": "use [redacted] or [TRACE_CANARY]", "[redacted]": 1}
    assert bounded(value) == json.loads(content_of(value)) == expected


def test_numbers_and_other_texts_remain() -> None:
    value = {"input_tokens": 7, "usage": {"total_tokens": 2**80}, "cache_key": "a", "list": "[1]", "secret": None}
    assert json.loads(redact_trace_content(json.dumps(value).encode())) == value


def test_what_cannot_be_searched_is_not_shown() -> None:
    for data in (b"[" * 200_000, b'{"password": "x"', b"\xff"):
        assert redact_trace_content(data) == b'"[redacted]"'
    text: Any = "[" * 100_000
    assert redact_trace_content(json.dumps(text).encode()) == json.dumps(text).encode()


@given(JSON_VALUES)
def test_to_redact_twice_changes_nothing(value: Any) -> None:
    assert json.loads(redact_trace_content(json.dumps(bounded(value)).encode())) == bounded(value)
