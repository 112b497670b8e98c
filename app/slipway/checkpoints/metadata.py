"""The metadata that is stored with a checkpoint: LangGraph's own, and that of the run's config.

LangGraph's helper for checkpointers stores texts and numbers only, and omits the position of a subgraph. The reference
server stores these, and lists and objects too, so clients expect them in states. Only plain JSON data is stored: a
config may also contain objects of the project.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

_DEEPEST: Final = 100
_NOT_PLAIN: Final = object()
_PARENT: Final = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns"})
"""In `configurable` these name the parent of the checkpoint."""
_THREAD: Final = frozenset({"thread_id"})
"""It is part of the record's key."""
_USER: Final = frozenset({"user_id"})
"""The user's identity, which the server adds beside `langgraph_auth_user_id`. Without an auth file the name belongs to
the graph."""


def checkpoint_metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
    """The metadata to store. A member of LangGraph's metadata replaces one of the config. Internal names (`__…`), names
    of the user and every member that is not plain data are omitted."""
    configurable = config.get("configurable") or {}
    user = _USER if "langgraph_auth_user_id" in configurable else frozenset[str]()
    stored = {
        name: str.replace(value, "\0", "") if isinstance(value, str) else value
        for name, value in without_user(metadata).items()
        if name not in user
    }
    stored |= _plain_members(config.get("metadata") or {}, omitted=stored.keys() | _THREAD | user)
    stored |= _plain_members(configurable, omitted=stored.keys() | _PARENT | user)
    return stored


def without_user(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without the user who sent the request, who is not part of a state."""
    return {name: value for name, value in metadata.items() if not name.startswith("langgraph_auth_")}


def _plain_members(members: Mapping[str, Any], omitted: Set[str]) -> dict[str, Any]:
    """The members that are plain data, without internal names and names of the user."""
    plain = {
        name: _plain(value, frozenset())
        for name, value in members.items()
        if name not in omitted and not name.startswith(("__", "langgraph_auth_"))
    }
    return {name: value for name, value in plain.items() if value is not _NOT_PLAIN}


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
