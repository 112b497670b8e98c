"""What is kept beside a checkpoint: LangGraph's own metadata, and what the config of the run says.

LangGraph's helper for checkpointers keeps texts and numbers only, and leaves out where a subgraph is. Clients of the
reference server find both in states, and lists and objects too. Only plain JSON data is kept: a config may also hold
whatever the graph's author put there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointMetadata

_DEEPEST: Final = 100
_NOT_PLAIN: Final = object()
_PARENT: Final = frozenset({"thread_id", "checkpoint_id", "checkpoint_ns"})
"""In `configurable` these say where the parent of the checkpoint is."""
_THREAD: Final = frozenset({"thread_id"})
"""The record's name says it."""
_CALLER: Final = frozenset({"user_id"})
"""The caller's identity, where the server has put it beside `langgraph_auth_user_id`. Without an auth file the name is
a graph's own."""


def kept_metadata(config: RunnableConfig, metadata: CheckpointMetadata) -> dict[str, Any]:
    """The metadata to store. What LangGraph says counts more than what the config says. Names of its machinery
    (`__…`) and of the caller are left out, and so is every member that is not plain data."""
    kept: dict[str, Any] = {}
    configurable = config.get("configurable") or {}
    caller = _CALLER if "langgraph_auth_user_id" in configurable else frozenset[str]()
    for name, value in without_caller(metadata).items():
        if name not in caller:
            kept[name] = str.replace(value, "\0", "") if isinstance(value, str) else value
    _add(kept, config.get("metadata") or {}, _THREAD | caller)
    _add(kept, configurable, _PARENT | caller)
    return kept


def without_caller(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Metadata without those who called: they are no part of a state."""
    return {name: value for name, value in metadata.items() if not name.startswith("langgraph_auth_")}


def _add(kept: dict[str, Any], members: Mapping[str, Any], left_out: frozenset[str]) -> None:
    for name, value in members.items():
        if name in kept or name in left_out or name.startswith(("__", "langgraph_auth_")):
            continue
        plain = _plain(value, frozenset())
        if plain is not _NOT_PLAIN:
            kept[name] = plain


def _plain(value: Any, inside: frozenset[int]) -> Any:
    """The value as JSON data without NUL characters; `_NOT_PLAIN` when it is not. `inside` are the containers around
    it: one that contains itself is no data."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return value
    if isinstance(value, str):
        return str.replace(value, "\0", "")
    if isinstance(value, int | float):  # an enumeration's member
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
