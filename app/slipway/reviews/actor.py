"""Who operates on reviews."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slipway.access.users import User, groups_of

ANONYMOUS: Final = "anonymous"
"""The identity of everybody, if there is no auth file."""


@dataclass(frozen=True, slots=True)
class Actor:
    """A person: the identity, and the groups that the auth file gave."""

    identity: str
    groups: Sequence[str] = ()


def actor_for(user: User | None) -> Actor:
    """The actor of a user; None without an auth file."""
    return Actor(ANONYMOUS) if user is None else Actor(user.identity, groups_of(user))
