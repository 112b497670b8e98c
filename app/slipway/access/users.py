"""The user for whom a request or a run executes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from slipway.serialization.json_encoding import dumps

RULE: Final = "slipway_access"
"""The member of a user whom Slipway itself authenticated (by an API key or a token): `scopes`, and `owner` if the user
is restricted to the records of an owner. Users of an auth file cannot have it."""
_BASE: Final = ("identity", "display_name", "is_authenticated", "permissions")


class User(Mapping[str, Any]):
    """The user that an authenticate handler returned. Every field that the handler set is readable by attribute and by
    key. The class implements `BaseUser` of `langgraph_sdk`, so graphs and factories receive it unchanged."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = {
            "display_name": fields["identity"],
            "is_authenticated": True,
            **{name: value for name, value in fields.items() if value is not None},
            "permissions": list(fields.get("permissions") or ()),
        }

    @property
    def identity(self) -> str:
        """Unique among the project's users."""
        return str(self._fields["identity"])

    @property
    def display_name(self) -> str:
        """The identity, unless the handler set another name."""
        return str(self._fields["display_name"])

    @property
    def is_authenticated(self) -> bool:
        """True, unless the handler set it to false."""
        return bool(self._fields["is_authenticated"])

    @property
    def permissions(self) -> Sequence[str]:
        """Names that authorize handlers can check. Slipway itself interprets only those that begin with `slipway:`."""
        return list(self._fields["permissions"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._fields:
            raise AttributeError(name)
        return self._fields[name]

    def __getitem__(self, key: str) -> Any:
        return self._fields[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"User({self.identity!r})"

    def stored(self) -> dict[str, Any]:
        """The fields as JSON, as a run stores them. Values that JSON cannot express become the nearest JSON value."""
        fields: dict[str, Any] = orjson.loads(dumps(self._fields))
        return fields


def owner_of_user(user: Mapping[str, Any] | None) -> str | None:
    """The owner to whose records a user, also a stored one, is restricted. None for all others."""
    rule = None if user is None else user.get(RULE)
    owner = rule.get("owner") if isinstance(rule, Mapping) else None
    return None if owner is None else str(owner)


def identity_of(user: Mapping[str, Any] | None) -> str | None:
    """The identity of a stored user; None without a user."""
    return None if user is None else str(user["identity"])


def groups_of(user: User | None) -> Sequence[str]:
    """The groups of a user: the member `groups` of what the authenticate handler returned. Members that are no texts
    are ignored."""
    groups = () if user is None else user.get("groups", ())
    return [group for group in groups if isinstance(group, str)] if isinstance(groups, list | tuple | set) else []


def user_configurable(user: User | None) -> dict[str, Any]:
    """The members of `configurable` that name the user to a graph (docs/auth-and-http.md)."""
    if user is None:
        return {}
    return {
        "user_id": user.identity,
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": user.identity,
        "langgraph_auth_permissions": user.permissions,
    }


def user_from_result(result: object) -> User:
    """The user that an authenticate handler returned: an identity, a mapping or an object with one, or
    `(permissions, user)`. Raises `TypeError` for any other result."""
    permissions = None
    if isinstance(result, tuple) and len(result) == 2:
        permissions, result = result
    fields = _fields_of(result)
    if permissions is not None:
        fields["permissions"] = permissions
    identity = fields.get("identity")
    if not isinstance(identity, str) or not identity:
        raise TypeError(f"the result has no identity: {type(result).__name__}")
    if RULE in fields:
        raise TypeError(f"the result has the member {RULE}, which only Slipway sets")
    names = fields.get("permissions") or ()
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError("permissions must be a list of strings")
    return User(fields)


def _fields_of(result: object) -> dict[str, Any]:
    if isinstance(result, str):
        return {"identity": result}
    if isinstance(result, Mapping):
        return dict(result)
    base = {name: getattr(result, name) for name in _BASE if hasattr(result, name)}
    return _attributes_of(result) | base


def _attributes_of(result: object) -> dict[str, Any]:
    if callable(dump := getattr(result, "model_dump", None)):
        return dict(dump())
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return {name: value for name, value in getattr(result, "__dict__", {}).items() if not name.startswith("_")}
