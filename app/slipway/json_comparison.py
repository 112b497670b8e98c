"""Compares JSON values, for searches and filters."""

from __future__ import annotations

from typing import Any


def equal(value: Any, expected: Any) -> bool:
    """Equality as in JSON: `true` does not equal 1, as it does in Python, and 1 equals 1.0."""
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == expected.keys() and all(equal(value[name], expected[name]) for name in value)
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(equal, value, expected))
    return isinstance(value, bool) == isinstance(expected, bool) and bool(value == expected)


def contains(value: Any, expected: Any) -> bool:
    """Containment as in JSON databases. An object contains an object whose members are all contained in its own. A list
    contains a list if each expected element is contained in one of its elements. Other values must be equal."""
    if isinstance(expected, dict):
        return isinstance(value, dict) and all(k in value and contains(value[k], v) for k, v in expected.items())
    if isinstance(expected, list):
        return isinstance(value, list) and all(any(contains(member, each) for member in value) for each in expected)
    return equal(value, expected)
