"""Any value of a state is encoded as JSON; the encoder never raises."""

from __future__ import annotations

import enum
import json
import uuid
from collections import deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langgraph.types import Interrupt, Send
from pydantic import BaseModel

from slipway.serialization.json_encoding import dumps


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    tags: set[str]


class Order(BaseModel):
    amount: Decimal
    when: datetime


class WithoutText:
    def __str__(self) -> str:
        raise RuntimeError("no")


Pair = namedtuple("Pair", ["left", "right"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, None, True]}, {"a": [1, 2.5, None, True]}),
        (float("nan"), None),
        ([float("inf"), Decimal("NaN"), Decimal("Infinity")], [None, None, None]),
        (Point(1, {"t"}), {"x": 1, "tags": ["t"]}),
        (
            Order(amount=Decimal("12.50"), when=datetime(2026, 1, 2, tzinfo=UTC)),
            {"amount": 12.5, "when": "2026-01-02T00:00:00+00:00"},
        ),
        ([Decimal("3"), Decimal("1e30")], [3, 1e30]),
        (timedelta(minutes=1.5), 90.0),
        (
            [date(2026, 1, 2), uuid.UUID(int=1), Colour.RED],
            ["2026-01-02", "00000000-0000-0000-0000-000000000001", "red"],
        ),
        ([Path("/a/b"), b"\x00\xff", deque([1])], ["/a/b", "AP8=", [1]]),
        (ValueError("bad"), "ValueError('bad')"),
        ({1: "a", Colour.RED: "b", None: "c", (1, 2): "d"}, {"1": "a", "red": "b", "null": "c", "(1, 2)": "d"}),
        (Pair(1, {2}), {"left": 1, "right": [2]}),
        (2**70, 2**70),
        ({"k": -(2**70)}, {"k": -(2**70)}),
        ("a\x00b\\u0000", "a\ufffdb\\u0000"),
        ({"\ud800": "x\udfff"}, {"\ufffd": "x\ufffd"}),
        (Send("node", {"a": {1}}), {"node": "node", "arg": {"a": [1]}, "timeout": None}),
        (Interrupt("why?", "0" * 32), {"value": "why?", "id": "0" * 32, "response_schema": None}),
        (WithoutText(), "<WithoutText>"),
    ],
)
def test_values_of_every_type_are_encoded_as_json(value: Any, expected: Any) -> None:
    assert json.loads(dumps(value)) == expected


def test_messages_are_encoded_as_in_langchain() -> None:
    human, chunk = json.loads(dumps([HumanMessage("hi", id="1"), AIMessageChunk(content="x", id="2")]))
    assert (human["type"], human["content"], human["id"]) == ("human", "hi", "1")
    assert chunk["type"] == "AIMessageChunk"
    assert chunk["tool_call_chunks"] == []


def test_a_message_inside_a_model_is_encoded_with_all_its_fields() -> None:
    class Exchange(BaseModel):
        reply: Any

    reply = json.loads(dumps(Exchange(reply=AIMessage("x", tool_calls=[{"name": "t", "args": {}, "id": "c"}]))))[
        "reply"
    ]
    assert reply["type"] == "ai"
    assert reply["tool_calls"][0]["name"] == "t"


def test_cyclic_and_deep_values_are_encoded() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert json.loads(dumps(circle))
    assert json.loads(dumps(deep))


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.timedeltas()
    | st.text(alphabet=st.characters(categories=["Cs", "Cc"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.tuples(st.integers()), inner),
    max_leaves=20,
)


@given(anything)
def test_any_value_is_encoded_as_valid_json(value: Any) -> None:
    encoded = dumps(value)
    json.loads(encoded)
    assert b"\\ud8" not in encoded.lower()


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1), st.lists))
def test_plain_json_is_encoded_unchanged(value: Any) -> None:
    assert json.loads(dumps(value)) == value
