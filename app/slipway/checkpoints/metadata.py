"""The metadata that is stored with a checkpoint: LangGraph's own, and that of the run's config.

LangGraph's helper for checkpointers stores texts and numbers only, and omits the position of a subgraph. The reference
server stores these, and lists and objects too, so clients expect them in states. Only plain JSON data is stored: a
config may also contain objects of the project.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from operator import is_
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

_DEEPEST: Final = 100
_NOT_PLAIN: Final = object()
_OMITTED: Final = frozenset({"thread_id"})
"""Members of the config's metadata that are not stored. The thread is part of the record's key."""
_OMITTED_CONFIGURABLE: Final = _OMITTED | {"checkpoint_id", "checkpoint_ns"}
"""Members of `configurable` that are not stored. These name the parent of the checkpoint."""
_USER: Final = "user_id"
"""The user's identity, which the server adds beside `langgraph_auth_user_id`. Without an auth file the name belongs to
the graph."""
_AUTH_PREFIX: Final = "langgraph_auth_"
_NOT_STORED: Final = ("__", _AUTH_PREFIX)
"""The prefixes of internal names and of names of the user."""
_NUMBERS_AND_OBJECTS: Final = frozenset({int, float, bool, dict})
_CONSTANT: Final = frozenset({str, int, float, bool, type(None)})
"""The types of values that cannot change. A list could be changed between two checkpoints."""


def checkpoint_metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
    """The metadata to store. A member of LangGraph's metadata replaces one of the config. Internal names (`__…`), names
    of the user and every member that is not plain data are omitted."""
    return ConfigMetadata().added_to(metadata, config)


class ConfigMetadata:
    """Computes `checkpoint_metadata` for the checkpoints of one run. What their configs contribute is the same for most
    of them, so it is computed again only when it has changed."""

    def __init__(self) -> None:
        self._contributed: dict[str, Any] = {}
        self._metadata: Mapping[str, Any] | None = None
        self._names: Set[str] = frozenset()
        self._members: dict[str, Any] | None = None
        """The members of the configurable that contribute, or may. None if the next config is computed in any case."""

    def added_to(self, metadata: CheckpointMetadata, config: RunnableConfig) -> dict[str, Any]:
        """The metadata to store."""
        configurable = config.get("configurable") or {}
        if not self._has_contributed(config.get("metadata"), configurable):
            self._contribute(config.get("metadata") or {}, configurable)
        own = {
            name: value if type(value) in _NUMBERS_AND_OBJECTS else _without_nul(value)
            for name, value in metadata.items()
            if not name.startswith(_AUTH_PREFIX)
        }
        stored = {**own, **self._contributed, **own}
        if "langgraph_auth_user_id" in configurable:
            stored.pop(_USER, None)
        return stored

    def _has_contributed(self, metadata: Mapping[str, Any] | None, configurable: Mapping[str, Any]) -> bool:
        """Whether the last config had the same members. Identities are compared, because an object of the project may
        claim to be equal to anything."""
        if self._members is None or metadata is not self._metadata or configurable.keys() != self._names:
            return False
        return all(map(is_, map(configurable.get, self._members), self._members.values()))

    def _contribute(self, metadata: Mapping[str, Any], configurable: Mapping[str, Any]) -> None:
        of_metadata, members = _storable(metadata, _OMITTED), _storable(configurable, _OMITTED_CONFIGURABLE)
        plain = _plain_members(of_metadata)
        self._contributed = {**plain, **_plain_members(members), **plain}
        self._metadata, self._names = metadata, frozenset(configurable)
        is_constant = _CONSTANT.issuperset(map(type, [*of_metadata.values(), *members.values()]))
        self._members = members if is_constant else None


def without_user(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without the user who sent the request, who is not part of a state."""
    return {name: value for name, value in metadata.items() if not name.startswith(_AUTH_PREFIX)}


def _storable(members: Mapping[str, Any], omitted: Set[str]) -> dict[str, Any]:
    """The members that are neither omitted nor internal."""
    return {name: value for name, value in members.items() if name not in omitted and not name.startswith(_NOT_STORED)}


def _plain_members(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that are plain data."""
    plain = {
        name: value if type(value) is str and "\0" not in value else _plain(value, frozenset())
        for name, value in members.items()
    }
    return {name: value for name, value in plain.items() if value is not _NOT_PLAIN}


def _without_nul(value: Any) -> Any:
    if type(value) is str and "\0" not in value:
        return value
    return str.replace(value, "\0", "") if isinstance(value, str) else value


def _plain(value: Any, inside: frozenset[int]) -> Any:
    """The value as JSON data without NUL characters, or `_NOT_PLAIN`. `inside` are the ids of the containers around it,
    to detect a container that contains itself."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if isinstance(value, str):
        return str.replace(value, "\0", "")
    if isinstance(value, int | float):  # a member of an enumeration
        return int(value) if isinstance(value, int) else float(value)
    if kind not in (list, tuple, dict) or id(value) in inside or len(inside) >= _DEEPEST:
        return _NOT_PLAIN
    inside |= {id(value)}
    if kind is dict:
        members = {name: _plain(member, inside) for name, member in value.items() if type(name) is str}
        whole = len(members) == len(value) and not any(member is _NOT_PLAIN for member in members.values())
        return members if whole else _NOT_PLAIN
    items = [_plain(item, inside) for item in value]
    return _NOT_PLAIN if any(item is _NOT_PLAIN for item in items) else items
