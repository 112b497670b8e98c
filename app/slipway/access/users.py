"""Whom a request is made for: what an authenticate handler said of the caller, in one shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson

from slipway.serialization.json_encoding import dumps

_BASE: Final = ("identity", "display_name", "is_authenticated", "permissions")


class User(Mapping[str, Any]):
    """The caller. What else the handler told of it is a member, by name or by key. It fits `BaseUser` of
    `langgraph_sdk`, so graphs and factories take it as it is."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = {
            "display_name": facts["identity"],
            "is_authenticated": True,
            **{name: value for name, value in facts.items() if value is not None},
            "permissions": list(facts.get("permissions") or ()),
        }

    @property
    def identity(self) -> str:
        """Who it is: unique among the project's users."""
        return str(self._facts["identity"])

    @property
    def display_name(self) -> str:
        """For people to read."""
        return str(self._facts["display_name"])

    @property
    def is_authenticated(self) -> bool:
        """Whether the handler knows who it is."""
        return bool(self._facts["is_authenticated"])

    @property
    def permissions(self) -> Sequence[str]:
        """Words that authorize handlers may look for."""
        return list(self._facts["permissions"])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._facts:
            raise AttributeError(name)
        return self._facts[name]

    def __getitem__(self, key: str) -> Any:
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __repr__(self) -> str:
        return f"User({self.identity!r})"

    def stored(self) -> dict[str, Any]:
        """As a run keeps it: JSON. What JSON has no word for becomes the nearest thing it has."""
        kept: dict[str, Any] = orjson.loads(dumps(self._facts))
        return kept


def user_configurable(user: User | None) -> dict[str, Any]:
    """For whom a graph works, under the names that graphs look for in their `configurable` (protocol 4.6)."""
    if user is None:
        return {}
    return {
        "user_id": user.identity,
        "langgraph_auth_user": user,
        "langgraph_auth_user_id": user.identity,
        "langgraph_auth_permissions": user.permissions,
    }


def user_from_result(said: object) -> User:
    """The caller by an authenticate handler's answer: an identity, a mapping or an object with one, or
    `(permissions, user)`. Raises `TypeError` for anything else."""
    permissions = None
    if isinstance(said, tuple) and len(said) == 2:
        permissions, said = said
    facts = _facts(said)
    if permissions is not None:
        facts["permissions"] = permissions
    identity = facts.get("identity")
    if not isinstance(identity, str) or not identity:
        raise TypeError(f"it names no identity: {type(said).__name__}")
    words = facts.get("permissions") or ()
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise TypeError("permissions are a list of strings")
    return User(facts)


def _facts(said: object) -> dict[str, Any]:
    if isinstance(said, str):
        return {"identity": said}
    if isinstance(said, Mapping):
        return dict(said)
    base = {name: getattr(said, name) for name in _BASE if hasattr(said, name)}
    return _members(said) | base


def _members(said: object) -> dict[str, Any]:
    """What an object tells of itself."""
    if callable(dump := getattr(said, "model_dump", None)):
        return dict(dump())
    if dataclasses.is_dataclass(said) and not isinstance(said, type):
        return {field.name: getattr(said, field.name) for field in dataclasses.fields(said)}
    return {name: value for name, value in getattr(said, "__dict__", {}).items() if not name.startswith("_")}
