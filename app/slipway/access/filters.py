"""Which records a caller may touch: what an authorize handler answers, asked of a record's metadata.

    {"owner": "ann"}                          equal
    {"owner": {"$eq": "ann"}}                 the same
    {"members": {"$contains": "ann"}}         a list that has it
    {"members": {"$contains": ["ann", "bo"]}} a list that has them all
    {"$or": [filter, filter, …]}              and `$and`, of at least two, nested once more at most

Several members of one filter must all fit. A member that the metadata does not have fits nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from slipway.json_comparison import equal

Condition = Mapping[str, Any]

_DEEPEST: Final = 2


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Conditions that must all fit; none at all is everything."""

    conditions: tuple[Condition, ...] = ()

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a record with this metadata may be touched."""
        return all(_fits(metadata, condition) for condition in self.conditions)

    def required_texts(self) -> dict[str, str] | None:
        """The metadata that a record must have, when all there is to it is texts that must be equal; a script can look
        at those. None when there is more to it."""
        found: dict[str, str] = {}
        for condition in self.conditions:
            for name, wanted in condition.items():
                text = wanted.get("$eq") if isinstance(wanted, Mapping) else wanted
                if name.startswith("$") or not isinstance(text, str) or found.setdefault(name, text) != text:
                    return None
        return found

    def member_names(self) -> set[str]:
        """The members of the metadata that it looks at."""
        return {name for condition in self.conditions for name in _names(condition)}

    def __and__(self, other: AccessFilter) -> AccessFilter:
        return AccessFilter(self.conditions + other.conditions)

    def __bool__(self) -> bool:
        """Whether it may keep anything away."""
        return bool(self.conditions)


MATCH_ALL: Final = AccessFilter()


def parse_filter(given: Condition) -> AccessFilter:
    """A handler's filter, checked. Raises `ValueError` that says what cannot be understood."""
    _check(given, 0)
    return AccessFilter((given,)) if given else MATCH_ALL


def _check(condition: object, depth: int) -> None:
    if not isinstance(condition, Mapping) or not all(isinstance(name, str) for name in condition):
        raise ValueError(f"a filter is an object, not {type(condition).__name__}")
    for name, wanted in condition.items():
        if name in ("$or", "$and"):
            _check_many(name, wanted, depth)
        elif name.startswith("$"):
            raise ValueError(f"there is no {name}")
        elif isinstance(wanted, Mapping) and set(wanted) not in ({"$eq"}, {"$contains"}):
            raise ValueError(f"{name}: expected a value, $eq or $contains, found {sorted(map(str, wanted))}")


def _check_many(name: str, given: object, depth: int) -> None:
    if not isinstance(given, list | tuple) or len(given) < 2:
        raise ValueError(f"{name} takes a list of at least two filters")
    if depth >= _DEEPEST:
        raise ValueError(f"{name} is nested deeper than {_DEEPEST} levels")
    for each in given:
        _check(each, depth + 1)


def _names(condition: Condition) -> Iterator[str]:
    for name, wanted in condition.items():
        if name in ("$or", "$and"):
            for each in wanted:
                yield from _names(each)
        else:
            yield name


def _fits(metadata: Mapping[str, Any], condition: Condition) -> bool:
    return all(_meets(metadata, name, wanted) for name, wanted in condition.items())


def _meets(metadata: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name == "$or":
        return any(_fits(metadata, each) for each in cast("Sequence[Condition]", wanted))
    if name == "$and":
        return all(_fits(metadata, each) for each in cast("Sequence[Condition]", wanted))
    if name not in metadata:
        return False
    found = metadata[name]
    if not isinstance(wanted, Mapping):
        return equal(found, wanted)
    if "$eq" in wanted:
        return equal(found, wanted["$eq"])
    members = wanted["$contains"]
    all_of = members if isinstance(members, list | tuple) else [members]
    return isinstance(found, list | tuple) and all(any(equal(each, member) for each in found) for member in all_of)
