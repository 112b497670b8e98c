"""Access filters: conditions on the metadata of records, which authorize handlers return.

    {"owner": "ann"}                          equal
    {"owner": {"$eq": "ann"}}                 equal
    {"members": {"$contains": "ann"}}         a list with this member
    {"members": {"$contains": ["ann", "bo"]}} a list with all of these members
    {"$or": [filter, filter, …]}              and `$and`: at least two filters, nested at most once more

A record matches when it meets all conditions. A condition on a member that the metadata does not have is not met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from slipway.json_comparison import equal

Condition = Mapping[str, Any]

_MAX_DEPTH: Final = 2


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Conditions that a record must all meet. Without conditions every record matches."""

    conditions: tuple[Condition, ...] = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        return all(_matches(metadata, condition) for condition in self.conditions)

    def required_texts(self) -> dict[str, str] | None:
        """The conditions as a dict of member → text, if each of them requires a member to equal a text. Scripts can
        check no other conditions: None if the filter has one."""
        texts: dict[str, str] = {}
        for condition in self.conditions:
            for name, expected in condition.items():
                text = expected.get("$eq") if isinstance(expected, Mapping) else expected
                if name.startswith("$") or not isinstance(text, str) or texts.setdefault(name, text) != text:
                    return None
        return texts

    def member_names(self) -> set[str]:
        """The metadata members that the conditions check."""
        return {name for condition in self.conditions for name in _member_names(condition)}

    def __and__(self, other: AccessFilter) -> AccessFilter:
        return AccessFilter(self.conditions + other.conditions)

    def __bool__(self) -> bool:
        """Whether there is any condition."""
        return bool(self.conditions)

    @property
    def matches_nothing(self) -> bool:
        """Whether `MATCH_NONE` is among the conditions. Then a search needs no reads."""
        return any(condition in self.conditions for condition in MATCH_NONE.conditions)


MATCH_ALL: Final = AccessFilter()
MATCH_NONE: Final = AccessFilter(({"$or": ()},))
"""No record matches it."""


def parse_filter(condition: Condition) -> AccessFilter:
    """The filter that a handler returned. Raises `ValueError` with the reason when it is malformed."""
    _check(condition, 0)
    return AccessFilter((condition,)) if condition else MATCH_ALL


def _check(condition: object, depth: int) -> None:
    if not isinstance(condition, Mapping) or not all(isinstance(name, str) for name in condition):
        raise ValueError(f"a filter must be an object, not {type(condition).__name__}")
    for name, expected in condition.items():
        if name in ("$or", "$and"):
            _check_many(name, expected, depth)
        elif name.startswith("$"):
            raise ValueError(f"the operator {name} does not exist")
        elif isinstance(expected, Mapping) and set(expected) not in ({"$eq"}, {"$contains"}):
            raise ValueError(f"{name}: expected a value, $eq or $contains, found {sorted(map(str, expected))}")


def _check_many(name: str, conditions: object, depth: int) -> None:
    if not isinstance(conditions, list | tuple) or len(conditions) < 2:
        raise ValueError(f"{name} takes a list of at least two filters")
    if depth >= _MAX_DEPTH:
        raise ValueError(f"{name} is nested deeper than {_MAX_DEPTH} levels")
    for condition in conditions:
        _check(condition, depth + 1)


def _member_names(condition: Condition) -> Iterator[str]:
    for name, expected in condition.items():
        if name in ("$or", "$and"):
            for nested in expected:
                yield from _member_names(nested)
        else:
            yield name


def _matches(metadata: Mapping[str, Any], condition: Condition) -> bool:
    return all(_meets(metadata, name, expected) for name, expected in condition.items())


def _meets(metadata: Mapping[str, Any], name: str, expected: Any) -> bool:
    if name == "$or":
        return any(_matches(metadata, each) for each in cast("Sequence[Condition]", expected))
    if name == "$and":
        return all(_matches(metadata, each) for each in cast("Sequence[Condition]", expected))
    if name not in metadata:
        return False
    value = metadata[name]
    if not isinstance(expected, Mapping):
        return equal(value, expected)
    if "$eq" in expected:
        return equal(value, expected["$eq"])
    members = expected["$contains"]
    all_of = members if isinstance(members, list | tuple) else [members]
    return isinstance(value, list | tuple) and all(any(equal(each, member) for each in value) for member in all_of)
