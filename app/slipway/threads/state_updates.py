"""State writes of clients in the form that LangGraph takes, and the error when the graph rejects one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

import structlog
from langgraph.errors import EmptyChannelError, InvalidUpdateError
from langgraph.types import Command, Send, StateUpdate

from slipway.errors import RefusedRequest, SlipwayError
from slipway.exception_text import class_name, is_a, message_of, traceback_of

log = structlog.get_logger(__name__)

_REFUSALS: Final = (InvalidUpdateError, EmptyChannelError, ValueError, KeyError, TypeError)


def update_error(graph_id: str, error: BaseException) -> RefusedRequest | None:
    """What a client gets when a graph raises on an update: the text only of what is written for people to read. None
    when it was not the graph."""
    if is_a(error, (SlipwayError, ConnectionError, asyncio.CancelledError)):
        return None
    if is_a(error, _REFUSALS):
        return RefusedRequest(f"graph {graph_id!r} refuses the update: {message_of(error)}")
    log.warning("update.raised", graph=graph_id, exception=traceback_of(error))
    return RefusedRequest(f"graph {graph_id!r} refuses the update: it raises {class_name(error)}")


def update_of(values: Any, command: Mapping[str, Any] | None, as_node: str | None) -> StateUpdate:
    """One update as LangGraph takes it; a command may stand in for values."""
    if command is None:
        return StateUpdate(update_values(values), as_node)
    jump = Command(resume=command.get("resume"), update=_pairs(command.get("update")), goto=_goto(command.get("goto")))
    return StateUpdate(cast("dict[str, Any]", jump), as_node)


def update_values(values: Any) -> Any:
    """Pairs of channel and value become an object, or a command when a channel is named twice."""
    pairs = _pairs(values)
    if pairs is values:
        return values
    members = dict(pairs)
    return members if len(members) == len(pairs) else Command(update=pairs)


def _pairs(values: Any) -> Any:
    """Pairs come as lists from JSON; LangGraph knows them as tuples."""
    if isinstance(values, list) and values and all(_is_pair(value) for value in values):
        return [tuple(value) for value in values]
    return values


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _goto(goto: Any) -> list[str | Send]:
    places = goto if isinstance(goto, list) else [] if goto is None else [goto]
    return [place if isinstance(place, str) else Send(place["node"], place.get("input")) for place in places]
