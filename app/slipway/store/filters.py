"""Which items a search wants: conditions on an item's members, and patterns of namespaces."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from langgraph.store.base import MatchCondition

from slipway.access.filters import Filter
from slipway.errors import RefusedRequest

_ORDERED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_ONLY: Final = "\0only"
_KNOWN: Final = ("$eq", "$ne", *_ORDERED)


def check(conditions: Mapping[str, Any]) -> None:
    """`RefusedRequest` for an operator that is not supported."""
    for name, wanted in conditions.items():
        if isinstance(wanted, dict):
            for word in wanted:
                if word.startswith("$") and word not in _KNOWN:
                    raise RefusedRequest(f"filter.{name}: {word!r} is not one of {', '.join(_KNOWN)}")


def fits(value: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Whether an item's value meets every condition. Order is asked of two numbers or two texts; anything else has
    none, and does not fit."""
    return all(
        wanted.fits(value) if isinstance(wanted, Filter) else _meets(value.get(name), wanted)
        for name, wanted in conditions.items()
    )


def both(conditions: Mapping[str, Any], only: Filter) -> dict[str, Any]:
    """A client's conditions, and what the caller may see. A `Filter` cannot come from a client: theirs are JSON."""
    return {**conditions, _ONLY: only} if only else dict(conditions)


def _meets(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, dict) and any(word.startswith("$") for word in wanted):
        return all(_compares(found, word, operand) for word, operand in wanted.items())
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(_meets(found.get(name), inner) for name, inner in wanted.items())
    return _same(found, wanted)


def _compares(found: Any, word: str, operand: Any) -> bool:
    if word == "$eq":
        return _same(found, operand)
    if word == "$ne":
        return not _same(found, operand)
    comparable = (_is_number(found) and _is_number(operand)) or (isinstance(found, str) and isinstance(operand, str))
    return comparable and _ORDERED[word](found, operand)


def _same(found: Any, wanted: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and bool(found == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def lead_of(conditions: Sequence[MatchCondition]) -> list[str]:
    """The labels that every namespace has in front which meets the conditions."""
    lead: list[str] = []
    for condition in conditions:
        if condition.match_type == "prefix":
            labels = list(condition.path)
            plain = labels[: labels.index("*")] if "*" in labels else labels
            lead = max(lead, plain, key=len)
    return lead


def matches(namespace: Sequence[str], conditions: Sequence[MatchCondition]) -> bool:
    """Whether a namespace meets every condition; `*` stands for any one label."""
    return all(_at_its_end(namespace, condition) for condition in conditions)


def _at_its_end(namespace: Sequence[str], condition: MatchCondition) -> bool:
    path = condition.path
    if len(path) > len(namespace):
        return False
    part = namespace[: len(path)] if condition.match_type == "prefix" else namespace[len(namespace) - len(path) :]
    return all(label in ("*", found) for label, found in zip(path, part, strict=True))
