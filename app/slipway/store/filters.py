"""The conditions of a search: on the members of an item's value, and on namespaces."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from langgraph.store.base import MatchCondition

from slipway.access.filters import AccessFilter
from slipway.errors import RefusedRequest
from slipway.json_comparison import equal

_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_OPERATORS: Final = ("$eq", "$ne", *_ORDERED)
_ACCESS_FILTER: Final = "\0access_filter"
"""The name under which an access filter is passed through LangGraph's `filter` argument."""


def check_operators(conditions: Mapping[str, Any]) -> None:
    """Raises `RefusedRequest` for an operator that is not supported."""
    for name, expected in conditions.items():
        if isinstance(expected, dict):
            for member in expected:
                if member.startswith("$") and member not in _OPERATORS:
                    raise RefusedRequest(f"filter.{name}: {member!r} is not one of {', '.join(_OPERATORS)}")


def matches(value: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Whether an item's value meets every condition. Only two numbers or two texts have an order: for any other pair
    `$gt`, `$gte`, `$lt` and `$lte` are false."""
    return all(
        expected.matches(value) if isinstance(expected, AccessFilter) else _meets(value.get(name), expected)
        for name, expected in conditions.items()
    )


def with_access_filter(conditions: Mapping[str, Any], access_filter: AccessFilter) -> dict[str, Any]:
    """A client's conditions, and the access filter of its user. A client cannot send an `AccessFilter`, because its
    conditions are JSON."""
    return {**conditions, _ACCESS_FILTER: access_filter} if access_filter else dict(conditions)


def _meets(value: Any, expected: Any) -> bool:
    if isinstance(expected, dict) and any(name.startswith("$") for name in expected):
        return all(_compare(value, name, operand) for name, operand in expected.items())
    if isinstance(expected, dict):
        return isinstance(value, dict) and all(_meets(value.get(name), inner) for name, inner in expected.items())
    return equal(value, expected)


def _compare(value: Any, operator_name: str, operand: Any) -> bool:
    if operator_name == "$eq":
        return equal(value, operand)
    if operator_name == "$ne":
        return not equal(value, operand)
    comparable = (_is_number(value) and _is_number(operand)) or (isinstance(value, str) and isinstance(operand, str))
    return comparable and _ORDERED[operator_name](value, operand)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def required_prefix(conditions: Sequence[MatchCondition]) -> list[str]:
    """The labels with which every namespace begins that meets the conditions."""
    prefix: list[str] = []
    for condition in conditions:
        if condition.match_type == "prefix":
            labels = list(condition.path)
            plain = labels[: labels.index("*")] if "*" in labels else labels
            prefix = max(prefix, plain, key=len)
    return prefix


def required_suffix(conditions: Sequence[MatchCondition]) -> str:
    """How the name of every namespace ends that meets the conditions: labels, each with a dot before it. A name needs a
    dot before its first label to be compared."""
    suffix: list[str] = []
    for condition in conditions:
        if condition.match_type == "suffix":
            labels = list(condition.path)
            plain = labels[len(labels) - labels[::-1].index("*") :] if "*" in labels else labels
            suffix = max(suffix, plain, key=len)
    return "".join(f".{label}" for label in suffix)


def is_plain_prefix(conditions: Sequence[MatchCondition]) -> bool:
    """Whether exactly the namespaces that begin with the labels of `required_prefix` meet the conditions."""
    return not conditions or (
        len(conditions) == 1 and conditions[0].match_type == "prefix" and "*" not in conditions[0].path
    )


def matches_namespace(namespace: Sequence[str], conditions: Sequence[MatchCondition]) -> bool:
    """Whether a namespace meets every condition; `*` matches any one label."""
    return all(_matches_path(namespace, condition) for condition in conditions)


def _matches_path(namespace: Sequence[str], condition: MatchCondition) -> bool:
    path = condition.path
    if len(path) > len(namespace):
        return False
    labels = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(expected in ("*", label) for expected, label in zip(path, labels, strict=True))
