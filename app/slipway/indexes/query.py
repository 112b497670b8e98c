"""Queries in index terms.

A query is a disjunction of conjunctions of conditions. It never excludes a record that the original query matches, but
it may be wider; if it is not `exact`, each record that it finds must be compared with the original query.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, cast

from slipway.access.filters import AccessFilter, Condition
from slipway.indexes.terms import (
    MANY_MEMBERS,
    OWNER,
    Space,
    any_value_term,
    element_term,
    has_value_term,
    list_term,
    nested_elements_term,
    object_term,
    scalar_term,
    value_terms_for_search,
)

AnyOf = tuple[str, ...]
"""A condition: the record is in one of these sets. The first one is the term itself, the others are wider."""

Conjunction = tuple[AnyOf, ...]
"""All conditions hold. Without conditions every record matches."""

MAX_CONJUNCTIONS: Final = 16
"""A query with more conjunctions is replaced by a wider one."""

MAX_CONDITIONS: Final = 32
"""A conjunction of more conditions is replaced by its first ones."""


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """A record matches if one of the conjunctions holds. `exact`: it matches the original query as well."""

    conjunctions: tuple[Conjunction, ...]
    exact: bool = True

    def __and__(self, other: IndexQuery) -> IndexQuery:
        """Records that match both."""
        exact = self.exact and other.exact
        if len(self.conjunctions) * len(other.conjunctions) > MAX_CONJUNCTIONS:
            narrower = min(self, other, key=lambda query: len(query.conjunctions))
            return IndexQuery(narrower.conjunctions, exact=False)
        pairs = product(self.conjunctions, other.conjunctions)
        conjunctions = [tuple(dict.fromkeys((*left, *right))) for left, right in pairs]
        exact = exact and all(len(conditions) <= MAX_CONDITIONS for conditions in conjunctions)
        return IndexQuery(tuple(conditions[:MAX_CONDITIONS] for conditions in conjunctions), exact)

    def __or__(self, other: IndexQuery) -> IndexQuery:
        """Records that match one of both."""
        exact = self.exact and other.exact
        conjunctions = tuple(dict.fromkeys((*self.conjunctions, *other.conjunctions)))
        if () in conjunctions:  # every record matches it
            return IndexQuery(((),), exact)
        return IndexQuery(conjunctions, exact) if len(conjunctions) <= MAX_CONJUNCTIONS else INEXACT


EVERY_RECORD: Final = IndexQuery(((),))
NO_RECORD: Final = IndexQuery(())

INEXACT: Final = IndexQuery(((),), exact=False)
"""Matches every record, in place of a condition that has no term."""


def in_set(name: str) -> IndexQuery:
    """Records in a set that has a name instead of a term."""
    return IndexQuery((((name,),),))


def all_of(queries: Sequence[IndexQuery]) -> IndexQuery:
    """Records that match all queries."""
    matching = EVERY_RECORD
    for query in queries:
        matching = matching & query
    return matching


def contained(space: Space, expected: Mapping[str, Any]) -> IndexQuery:
    """Records whose metadata or values contain `expected`: see `json_comparison.contains`."""
    return all_of([_containing(space, name, value) for name, value in expected.items()])


def member_equals(space: Space, name: str, value: Any) -> IndexQuery:
    """Records whose member equals `value`: see `json_comparison.equal`."""
    if isinstance(value, dict):
        return _condition(space, name, [object_term(space, name)], exact=False)
    if isinstance(value, list):  # Python compares the elements: 1 equals True there, so only texts have usable terms
        texts = [element_term(space, name, each) for each in value if isinstance(each, str)]
        return _condition(space, name, texts or [list_term(space, name)], exact=False)
    return _condition(space, name, [scalar_term(space, name, value)])


def filtered(access_filter: AccessFilter) -> IndexQuery:
    """Records whose metadata match an access filter."""
    return all_of([_meeting_all(condition) for condition in access_filter.conditions])


def _meeting_all(condition: Condition) -> IndexQuery:
    return all_of([_meeting(name, expected) for name, expected in condition.items()])


def _meeting(name: str, expected: Any) -> IndexQuery:
    if name == "$and":
        return all_of([_meeting_all(each) for each in cast("Sequence[Condition]", expected)])
    if name == "$or":
        first, *others = [_meeting_all(each) for each in cast("Sequence[Condition]", expected)]
        for other in others:
            first = first | other
        return first
    if not isinstance(expected, Mapping):
        return member_equals(Space.METADATA, name, expected)
    if "$eq" in expected:
        return member_equals(Space.METADATA, name, expected["$eq"])
    members = expected["$contains"]
    return _with_elements(Space.METADATA, name, members if isinstance(members, list | tuple) else [members])


def _containing(space: Space, name: str, value: Any) -> IndexQuery:
    if space is Space.VALUES:
        return _with_value(name, value)
    if isinstance(value, dict):
        return _condition(space, name, [object_term(space, name)], exact=False)
    if isinstance(value, list):
        return _with_elements(space, name, value)
    return _condition(space, name, [scalar_term(space, name, value)])


def _with_value(name: str, value: Any) -> IndexQuery:
    """Threads whose values have a member that equals `value`."""
    if isinstance(value, dict | list) or not has_value_term(value):
        return INEXACT
    terms = value_terms_for_search(name, value)
    return IndexQuery((((*terms, Space.VALUES.any_term),),)) if terms else INEXACT


def _with_elements(space: Space, name: str, elements: Sequence[Any]) -> IndexQuery:
    """Records whose member is a list with all of these elements."""
    if not elements:
        return _condition(space, name, [list_term(space, name)])
    exact = len(elements) <= MAX_CONDITIONS and not any(isinstance(each, dict | list | tuple) for each in elements)
    return _condition(space, name, list(_terms_of_elements(space, name, elements[:MAX_CONDITIONS])), exact=exact)


def _terms_of_elements(space: Space, name: str, elements: Sequence[Any]) -> Iterator[str | None]:
    for each in elements:
        nested = isinstance(each, dict | list)
        yield nested_elements_term(space, name) if nested else element_term(space, name, each)


def _condition(space: Space, name: str, terms: Sequence[str | None], *, exact: bool = True) -> IndexQuery:
    """Records with all of these terms, or with a wider one in place of each. None stands for a condition without a
    term."""
    many = (MANY_MEMBERS,) if space is Space.METADATA and name != OWNER else ()
    wider = (any_value_term(space, name), *many, space.any_term)
    conditions = tuple((term, *(() if space is Space.RECORD else wider)) for term in terms if term is not None)
    return IndexQuery((conditions,), exact and None not in terms and bool(conditions))
