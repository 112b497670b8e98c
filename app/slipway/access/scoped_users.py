"""Users whom Slipway itself authenticates: by an API key, by a token, or by an incoming webhook.

They have scopes, and some of them an owner. Both are stored with the runs and crons of the user, so that background
work authorizes them again without the key or the token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from slipway.access.scopes import Scope, permissions_of
from slipway.access.users import RULE, User

_SCOPES: Final = "scopes"
_KEY: Final = "key"
_UNTIL_US: Final = "until_us"


def scoped_user(
    identity: str,
    scopes: Sequence[Scope],
    owner: str | None = None,
    *,
    display_name: str | None = None,
    key_id: str | None = None,
    until_us: int | None = None,
) -> User:
    """The user with these scopes, restricted to the records of `owner` unless that is None. `key_id` is the id of the
    API key that identified the user, and `until_us` the time in µs at which the key or the token expires: long
    responses end then, or when the key is revoked."""
    rule = {
        _SCOPES: [scope.value for scope in scopes],
        "owner": owner,
        _KEY: key_id,
        _UNTIL_US: until_us,
    }
    fields: dict[str, object] = {
        "identity": identity,
        "display_name": display_name or identity,
        "permissions": permissions_of(scopes),
        RULE: {name: value for name, value in rule.items() if value is not None},
    }
    return User(fields if owner is None else fields | {"owner": owner})


def scopes_of(user: Mapping[str, object]) -> list[str] | None:
    """The scopes of a user; None for a user of an auth file, who has none."""
    rule = user.get(RULE)
    if not isinstance(rule, Mapping):
        return None
    scopes = rule.get(_SCOPES)
    return [each for each in scopes if isinstance(each, str)] if isinstance(scopes, list) else []


def key_of(user: Mapping[str, object]) -> str | None:
    """The id of the API key that identified the user."""
    rule = user.get(RULE)
    key_id = rule.get(_KEY) if isinstance(rule, Mapping) else None
    return key_id if isinstance(key_id, str) else None


def expires_us(user: Mapping[str, object]) -> int | None:
    """When the key or the token expires that identified the user, in µs since 1970."""
    rule = user.get(RULE)
    until_us = rule.get(_UNTIL_US) if isinstance(rule, Mapping) else None
    return until_us if isinstance(until_us, int) else None
