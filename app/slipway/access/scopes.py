"""Scopes: what an API key or a token permits.

| scope | permits |
|---|---|
| `runs:read` | read threads, runs, assistants, crons and store items |
| `runs:write` | everything with them, reading included |
| `reviews:decide` | read reviews and decide them |
| `operate` | what operators do with runs, switches, rollouts and ceilings |
| `administer` | create and revoke API keys, and everything above |
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

from slipway.access.operators import ADMINISTER, OPERATE, REVIEW
from slipway.errors import InvalidRequest


class Scope(StrEnum):
    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    REVIEWS_DECIDE = "reviews:decide"
    OPERATE = "operate"
    ADMINISTER = "administer"


SCOPES: Final = tuple(scope.value for scope in Scope)
SCOPES_WITH_OWNER: Final = (Scope.RUNS_READ, Scope.RUNS_WRITE, Scope.REVIEWS_DECIDE)
"""The scopes that a key or a token with an owner can have. The others act on the records of all owners."""

_PERMISSIONS: Final = {
    Scope.REVIEWS_DECIDE: (REVIEW,),
    Scope.OPERATE: (OPERATE,),
    Scope.ADMINISTER: (OPERATE, REVIEW, ADMINISTER),
}
_READS: Final = frozenset({"read", "search", "get", "list_namespaces"})
"""The actions of operations that change nothing."""

_OWNER_CHARACTERS: Final = 128
_FORBIDDEN_IN_OWNERS: Final = ".*"
_RESERVED_OWNERS: Final = frozenset({"langgraph"})
"""The long-term store has no such first label of a namespace."""


def checked_scopes(names: Iterable[str], field: str) -> tuple[Scope, ...]:
    """The scopes with these names, each once. Raises `InvalidRequest` for an unknown name, and if there is none."""
    names = list(dict.fromkeys(names))
    if not names:
        raise InvalidRequest(field, "must name at least one scope", SCOPES)
    if unknown := [name for name in names if name not in SCOPES]:
        raise InvalidRequest(field, f"there is no scope {unknown[0]!r}", SCOPES)
    return tuple(Scope(name) for name in names)


def check_owner_scopes(owner: str | None, scopes: Sequence[Scope], field: str) -> None:
    """Raises `InvalidRequest` if a key or a token with an owner has a scope for the records of all owners."""
    if owner is not None and (wrong := [scope for scope in scopes if scope not in SCOPES_WITH_OWNER]):
        raise InvalidRequest(
            field,
            f"{wrong[0].value!r} acts on the records of all owners, so it cannot be combined with an owner",
            SCOPES_WITH_OWNER,
        )


def checked_owner(owner: str, field: str) -> str:
    """The owner, if it can be the owner of records. Raises `InvalidRequest`."""
    if not owner or len(owner) > _OWNER_CHARACTERS:
        raise InvalidRequest(field, f"must have 1 to {_OWNER_CHARACTERS} characters")
    if not owner.isprintable() or owner != owner.strip() or any(each in owner for each in _FORBIDDEN_IN_OWNERS):
        raise InvalidRequest(
            field,
            "must be printable, without spaces at its ends, dots and asterisks: it is the first label of the "
            "namespaces of the long-term store",
        )
    if owner in _RESERVED_OWNERS:
        raise InvalidRequest(field, f"{owner!r} is reserved in the long-term store")
    return owner


def permissions_of(scopes: Iterable[Scope]) -> list[str]:
    """The scopes, and the permissions of operators that they give: the list `permissions` of a user."""
    scopes = list(scopes)
    implied = [permission for scope in scopes for permission in _PERMISSIONS.get(scope, ())]
    return list(dict.fromkeys([*(scope.value for scope in scopes), *implied]))


def permits(scopes: Iterable[str], action: str) -> bool:
    """Whether one of the scopes permits an operation of threads, runs, assistants, crons or the store."""
    names = set(scopes)
    if names & {Scope.RUNS_WRITE, Scope.ADMINISTER}:
        return True
    return action in _READS and Scope.RUNS_READ in names
