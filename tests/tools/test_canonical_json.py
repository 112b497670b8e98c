"""The text from which the hash of a call is made: equal for equal JSON, and only then."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.canonical_json import call_hash, canonical_json

DIFFERENT: list[Any] = [1, 1.0, "1", True, None, "null", [], {}, "", 0, -0.0, 0.0, [1], ["1"], {"a": 1}, {"a": "1"}]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def typed(value: Any) -> Any:
    """A value that equals another one only if both have the same types."""
    if isinstance(value, dict):
        return {name: typed(member) for name, member in value.items()}
    if isinstance(value, list):
        return [typed(member) for member in value]
    return (type(value).__name__, repr(value))


def test_values_that_differ_have_different_texts() -> None:
    assert len({canonical_json(value) for value in DIFFERENT}) == len(DIFFERENT)


@given(JSON, JSON)
def test_texts_are_equal_if_the_values_are(one: Any, other: Any) -> None:
    assert (canonical_json(one) == canonical_json(other)) == (typed(one) == typed(other))
    assert typed(json.loads(canonical_json(one))) == typed(one)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_order_of_members_does_not_matter(args: dict[str, Any]) -> None:
    backwards = dict(reversed(args.items()))
    assert call_hash("tool", args) == call_hash("tool", backwards)
    assert call_hash("tool", args) != call_hash("tool2", args)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: "a"}, {"a": object()}, b"x"])
def test_what_is_no_json_is_rejected(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


def test_a_value_that_contains_itself_is_rejected() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        canonical_json(value)
